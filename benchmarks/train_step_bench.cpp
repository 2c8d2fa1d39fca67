// One training step of the reference model (8,151,840 parameters, 256 positions): forward, backward, clipping
// and AdamW, on all the processor's cores. Names: train_step/cpu/<dtype>/batch:<sequences>/threads:<threads>.

#include <benchmark/benchmark.h>

#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "cria/cria.hpp"

namespace {

using namespace cria;

constexpr std::int64_t length = 256;
constexpr std::int64_t chunk_size = 4;  // sequences, as the training program has them: about 1,024 tokens

template <class T>
void train_step(benchmark::State& state, std::int64_t batch, int threads) {
  nn::LlamaForCausalLM<T> model{nn::LlamaConfig{}};
  initialize(model, Rng(1337));
  AdamW optimizer(model, {.learning_rate = 5e-4});
  GradScaler scaler({.enabled = std::is_same_v<T, float16>});
  nn::DataParallel parallel(model, threads);

  Rng rng(1);
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(batch * length));
  for (auto& token : tokens) {
    token = static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(model.config.vocab_size)));
  }
  const std::int64_t chunks = batch / chunk_size;

  const auto step = [&] {
    const double loss = parallel.run(chunks, [&](auto& own, std::int64_t chunk) {
      const auto first = static_cast<std::size_t>(chunk * chunk_size * length);
      const auto x = Tensor<std::int32_t>::from(
          {chunk_size, length}, std::span<const std::int32_t>(tokens).subspan(first, chunk_size * length));
      const auto mean_loss = own.loss(x, x);  // what is predicted does not change the work
      backward(mean_loss, static_cast<float>(scaler.scale() / static_cast<double>(chunks)));
      return static_cast<double>(mean_loss.item()) / static_cast<double>(chunks);
    });
    benchmark::DoNotOptimize(loss);
    parallel.reduce_gradients();
    const bool finite = scaler.unscale(model);
    clip_grad_norm(model, 1.0);
    finite ? optimizer.step() : nn::zero_grad(model);
    scaler.update();
  };
  step();  // warms up
  for (auto _ : state) step();
  state.counters["tokens/s"] =
      benchmark::Counter(static_cast<double>(batch * length), benchmark::Counter::kIsIterationInvariantRate);
}

template <class T>
void add(std::int64_t batch) {
  const int threads = cpu::available_threads();
  const std::string name = "train_step/cpu/" + std::string(dtype_name<T>) +
                           "/batch:" + std::to_string(batch) + "/threads:" + std::to_string(threads);
  benchmark::RegisterBenchmark(name.c_str(),
                               [=](benchmark::State& state) { train_step<T>(state, batch, threads); })
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime();
}

const bool added = [] {
  for (const std::int64_t batch : {16, 64}) {
    add<float>(batch);
    add<bfloat16>(batch);
    add<float16>(batch);
  }
  return true;
}();

}  // namespace
