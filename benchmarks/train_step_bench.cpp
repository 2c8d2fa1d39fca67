// One training step: forward, backward, clipping and AdamW, on all the processor's cores, or the GPU. How the
// time per token grows with the batch, the sequence and the width of the model. Names:
// train_step/<backend>/<dtype>/batch:<sequences>/length:<positions>/width:<hidden size>/threads:<threads>.

#include "random_training.hpp"

#include <benchmark/benchmark.h>

#include <string>

namespace {

using namespace cria;

template <class T>
void train_step(benchmark::State& state, const nn::LlamaConfig& config, std::int64_t batch, int threads) {
  benchmarks::RandomTraining<T> step(config, batch, threads);
  step();  // warms up
  for (auto _ : state) benchmark::DoNotOptimize(step());
  state.counters["tokens/s"] =
      benchmark::Counter(static_cast<double>(step.tokens()), benchmark::Counter::kIsIterationInvariantRate);
}

template <class T>
void add(std::int64_t batch, std::int64_t length, std::int64_t width) {
  nn::LlamaConfig config;  // the reference model, but for these
  config.max_position_embeddings = length;
  config.hidden_size = width;
  config.intermediate_size = (8 * width / 3 + 31) / 32 * 32;
  const int threads = benchmarks::threads_of_a_step();
  const std::string name = std::string("train_step/") + DefaultBackend::name + "/" +
                           std::string(dtype_name<T>) + "/batch:" + std::to_string(batch) +
                           "/length:" + std::to_string(length) + "/width:" + std::to_string(width) +
                           "/threads:" + std::to_string(threads);
  benchmark::RegisterBenchmark(name.c_str(),
                               [=](benchmark::State& state) { train_step<T>(state, config, batch, threads); })
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime();
}

template <class T>
void add_all() {
  for (const std::int64_t batch : {1, 4, 16, 64, 256}) add<T>(batch, 256, 288);
  for (const std::int64_t length : {128, 512, 1024, 2048, 4096}) add<T>(16 * 256 / length, length, 288);
  for (const std::int64_t width : {512, 768, 1024}) add<T>(16, 256, width);
}

const bool added = [] {
  add_all<float>();
  add_all<bfloat16>();
  add_all<float16>();
  return true;
}();

}  // namespace
