// One training step: forward, backward, clipping and AdamW, on all the processor's cores, or the GPU. How the
// time per token grows with the batch, the sequence, the width of the model and the threads. Names:
// train_step/<backend>/<dtype>/batch:<sequences>/length:<positions>/width:<hidden size>/threads:<threads>. On
// the CPU of_limit is the share of the physical limit, what a loop of multiply-adds on registers would take
// for the operations of the step's products; sweep.sh makes a table of it.

#include "random_training.hpp"
#ifndef CRIA_DEFAULT_BACKEND_CUDA
#include "register_peak.hpp"
#endif

#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>
#include <vector>

namespace {

using namespace cria;

/// Those of the products and of attention's causal half, forward and backward.
double flops_per_token(const nn::LlamaConfig& config) {
  const nn::Costs costs = nn::costs(config);
  double factors = static_cast<double>(costs.head.in * costs.head.out);
  for (const nn::Product& product : costs.products) {
    factors += static_cast<double>(product.in * product.out * product.count);
  }
  return 6.0 * factors +
         6.0 * costs.attention_width * static_cast<double>(config.max_position_embeddings + 1);
}

template <class T>
void train_step(benchmark::State& state, const nn::LlamaConfig& config, std::int64_t batch, int threads) {
  benchmarks::RandomTraining<T> step(config, batch, threads);
  step();  // warms up
#ifndef CRIA_DEFAULT_BACKEND_CUDA
  const double peak_before = benchmarks::register_peak<T>(threads);
#endif
  for (auto _ : state) benchmark::DoNotOptimize(step());
  state.counters["tokens/s"] =
      benchmark::Counter(static_cast<double>(step.tokens()), benchmark::Counter::kIsIterationInvariantRate);
#ifndef CRIA_DEFAULT_BACKEND_CUDA
  const double peak = std::max(peak_before, benchmarks::register_peak<T>(threads));
  state.counters["of_limit"] =
      benchmark::Counter(flops_per_token(config) * static_cast<double>(step.tokens()) / peak,
                         benchmark::Counter::kIsIterationInvariantRate);
  state.counters["MFLOP/token"] = 1e-6 * flops_per_token(config);
#endif
}

template <class T>
void add(std::int64_t batch, std::int64_t length, std::int64_t width) {
  nn::LlamaConfig config;  // the reference model, but for these
  config.max_position_embeddings = length;
  config.hidden_size = width;
  config.intermediate_size = (8 * width / 3 + 31) / 32 * 32;
  std::vector<int> all_threads{benchmarks::threads_of_a_step()};
  if (all_threads.front() > 1) all_threads.push_back(1);
  for (const int threads : all_threads) {
    const std::string name = std::string("train_step/") + DefaultBackend::name + "/" +
                             std::string(dtype_name<T>) + "/batch:" + std::to_string(batch) +
                             "/length:" + std::to_string(length) + "/width:" + std::to_string(width) +
                             "/threads:" + std::to_string(threads);
    benchmark::RegisterBenchmark(
        name.c_str(), [=](benchmark::State& state) { train_step<T>(state, config, batch, threads); })
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
  }
}

template <class T>
void add_all() {
  constexpr std::int64_t tokens = 16 * 256;
  for (const std::int64_t batch : {1, 4, 16, 64, 256}) add<T>(batch, 256, 288);
  for (const std::int64_t length : {512, 1024, 2048}) add<T>(1, length, 288);  // one sequence: no replicas
  for (const std::int64_t length : {128, 512, 1024, 2048, 4096, 8192}) {
    add<T>(std::max<std::int64_t>(tokens / length, 1), length, 288);
  }
  for (const std::int64_t width : {512, 768, 1024, 2048}) add<T>(width == 2048 ? 4 : 16, 256, width);
}

const bool added = [] {
  add_all<float>();
  add_all<bfloat16>();
  add_all<float16>();
  return true;
}();

}  // namespace
