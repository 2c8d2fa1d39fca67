// Operations at the sizes of the reference model's training, forward and backward, on the default backend:
// all the processor's cores, or the GPU. Names are built from the arguments:
// rms_norm/forward/cpu/float32/rows:8192/cols:288. A backward's time is the pass over the graph alone; FLOP/s
// count a multiplication and an addition as two, bytes/s what has to be read and written once; of_roofline is
// the least time that the machine needs for both, over the time taken.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "cria/cria.hpp"
#include "roofline.hpp"

namespace {

using namespace cria;

using Sizes = std::vector<std::pair<std::string, std::int64_t>>;

/// What one pass does, for the rates; 0 leaves a rate out.
struct Work {
  double flops = 0;
  double bytes = 0;
};

template <class T>
void set_rates(benchmark::State& state, const Work& work) {
  const auto add = [&](const char* name, double amount) {
    if (amount > 0)
      state.counters[name] = benchmark::Counter(amount, benchmark::Counter::kIsIterationInvariantRate);
  };
  add("FLOP/s", work.flops);
  add("bytes/s", work.bytes);
  // The least time for so much work over the time it takes: seconds of the roofline per second.
  add("of_roofline", benchmarks::roofline<T>().seconds(work.flops, work.bytes));
}

std::string bench_name(const char* op, const char* pass, std::string_view dtype, const Sizes& sizes) {
  std::string name = std::string(op) + "/" + pass + "/" + DefaultBackend::name + "/" + std::string(dtype);
  for (const auto& [size_name, size] : sizes) name += "/" + size_name + ":" + std::to_string(size);
  return name;
}

constexpr bool on_cpu = std::is_same_v<DefaultBackend, Cpu>;

// A device is handed several passes before it is waited for, as in training.
constexpr int passes = on_cpu ? 1 : 16;

/// Times pass(prepare()), of which prepare() is not counted.
template <class Prepare, class Pass>
void measure(benchmark::State& state, Prepare prepare, Pass pass) {
  pass(prepare());  // warms up
  while (state.KeepRunningBatch(passes)) {
    state.PauseTiming();
    std::vector<decltype(prepare())> prepared;
    for (int i = 0; i < passes; ++i) prepared.push_back(prepare());
    DefaultBackend::synchronize();
    state.ResumeTiming();
    for (const auto& each : prepared) pass(each);
    DefaultBackend::synchronize();
  }
}

/// Times pass().
template <class Pass>
void measure(benchmark::State& state, Pass pass) {
  pass();  // warms up
  while (state.KeepRunningBatch(passes)) {
    for (int i = 0; i < passes; ++i) pass();
    DefaultBackend::synchronize();
  }
}

template <class F>
void register_benchmark(const std::string& name, F run) {
  benchmark::RegisterBenchmark(name.c_str(), run)->Unit(benchmark::kMicrosecond)->UseRealTime();
}

/// Adds op/forward and op/backward. `make()` allocates the inputs and returns a function that computes the
/// output.
template <class T, class Make>
void add(const char* op, const Sizes& sizes, Work forward, Work backward, Make make) {
  register_benchmark(bench_name(op, "forward", dtype_name<T>, sizes), [=](benchmark::State& state) {
    const auto compute = make();
    const NoGrad guard;
    measure(state, [&] { benchmark::DoNotOptimize(compute()); });
    set_rates<T>(state, forward);
  });
  register_benchmark(bench_name(op, "backward", dtype_name<T>, sizes), [=](benchmark::State& state) {
    const auto compute = make();
    const auto dy = decltype(compute())::zeros(compute().shape());
    measure(state, compute, [&](const auto& y) { cria::detail::run_backward(y, dy); });
    set_rates<T>(state, backward);
  });
}

/// Normal numbers, which repeat themselves because drawing takes longer than what is measured; their gradient
/// is wanted.
template <class T>
Tensor<T> random_tensor(const Shape& shape, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<T> values(static_cast<std::size_t>(shape.size()));
  constexpr std::size_t drawn = 1 << 16;
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = i < drawn ? static_cast<T>(static_cast<acc_t<T>>(rng.normal())) : values[i - drawn];
  }
  auto x = Tensor<T>::from(shape, values);
  x.set_requires_grad();
  return x;
}
template <class T>
Parameter<T> random_parameter(const Shape& shape) {
  Parameter<T> parameter(shape);
  nn::fill_normal(parameter, 0.02, Rng(7));
  return parameter;
}

// A GPU gets a micro-batch of the reference run at once.
constexpr std::int64_t rows = on_cpu ? 8192 : 32768, dim = 288, hidden = 768, vocab = 4096;

template <class T>
double bytes(std::int64_t elements) {
  return static_cast<double>(elements) * sizeof(T);
}

template <class T>
void add_rms_norm() {
  const Work forward{.bytes = bytes<T>(2 * rows * dim)};
  const Work backward{.bytes = bytes<T>(4 * rows * dim)};  // reads x and dy, adds to dx
  add<T>("rms_norm", {{"rows", rows}, {"cols", dim}}, forward, backward, [] {
    return [x = random_tensor<T>({rows, dim}, 1), weight = random_parameter<T>({dim})] {
      return rms_norm(x, weight);
    };
  });
}

template <class T>
void add_linear(std::int64_t in, std::int64_t out) {
  const double flops = 2.0 * static_cast<double>(rows * in * out);
  const Work forward{.flops = flops, .bytes = bytes<T>(rows * (in + out) + in * out)};
  // Reads dy, x and the weight, adds to both gradients.
  const Work backward{.flops = 2 * flops,
                      .bytes = bytes<T>(rows * (3 * in + out) + in * out) + bytes<acc_t<T>>(2 * in * out)};
  add<T>("linear", {{"rows", rows}, {"in", in}, {"out", out}}, forward, backward, [=] {
    return [x = random_tensor<T>({rows, in}, 1), weight = random_parameter<T>({out, in})] {
      return linear(x, weight);
    };
  });
}

template <class T>
void add_attention() {
  constexpr std::int64_t batch = on_cpu ? 16 : 128, length = 256, heads = 8, kv_heads = 2, head_dim = 36;
  constexpr std::int64_t head = batch * length * head_dim;
  // Two products of which causality leaves half; backward has five.
  const double product = static_cast<double>(head * heads * length);
  const Work forward{.flops = 2 * product, .bytes = bytes<T>(head * (2 * heads + 2 * kv_heads))};
  // Reads q, k, v, the output and its gradient, adds to three gradients.
  const Work backward{.flops = 5 * product, .bytes = bytes<T>(head * (5 * heads + 6 * kv_heads))};
  add<T>("attention",
         {{"batch", batch}, {"length", length}, {"heads", heads}, {"kv_heads", kv_heads}, {"dim", head_dim}},
         forward, backward, [] {
           return
               [q = random_tensor<T>({batch, length, heads, head_dim}, 1),
                k = random_tensor<T>({batch, length, kv_heads, head_dim}, 2),
                v = random_tensor<T>({batch, length, kv_heads, head_dim}, 3)] { return attention(q, k, v); };
         });
}

template <class T>
void add_swiglu() {
  const Work forward{.bytes = bytes<T>(3 * rows * hidden)};
  const Work backward{.bytes = bytes<T>(7 * rows * hidden)};  // reads gate, up and dy, adds to both gradients
  add<T>("swiglu", {{"rows", rows}, {"cols", hidden}}, forward, backward, [] {
    return [gate = random_tensor<T>({rows, hidden}, 1), up = random_tensor<T>({rows, hidden}, 2)] {
      return swiglu(gate, up);
    };
  });
}

/// The loss with its gradients, which the forward pass computes: three products.
template <class T>
void add_linear_cross_entropy() {
  constexpr std::int64_t tokens = on_cpu ? 1024 : 32768;
  const Sizes sizes{{"rows", tokens}, {"dim", dim}, {"vocab", vocab}};
  const double flops = 6.0 * static_cast<double>(tokens * dim * vocab);
  register_benchmark(bench_name("linear_cross_entropy", "forward_backward", dtype_name<T>, sizes),
                     [=](benchmark::State& state) {
                       const auto x = random_tensor<T>({tokens, dim}, 1);
                       const auto weight = random_parameter<T>({vocab, dim});
                       std::vector<std::int32_t> ids(tokens);
                       Rng rng(3);
                       for (auto& id : ids) id = static_cast<std::int32_t>(rng.below(vocab));
                       const auto targets = Tensor<std::int32_t>::from({tokens}, ids);
                       measure(state, [&] { backward(linear_cross_entropy(x, weight, targets)); });
                       set_rates<T>(state, {.flops = flops});
                     });
}

template <class T>
void add_adamw() {
  constexpr std::int64_t values = vocab * dim;
  register_benchmark(
      bench_name("adamw", "step", dtype_name<T>, {{"values", values}}), [](benchmark::State& state) {
        nn::Embedding<T> model(vocab, dim);
        nn::initialize(model, Rng(1));
        AdamW optimizer(model, {});
        const auto gradient = Tensor<acc_t<T>>::full({values}, acc_t<T>(0.01f));
        measure(state, [&] {
          kernel_for<ops::Accumulate, DefaultBackend>::add(gradient.vec(), cria::sink(model.weight).vec());
          optimizer.step();
        });
        // Copies the gradient and reads it twice, for its norm and the step, reads and writes
        // both moments and the value; a 16-bit value is only written, and its float master
        // copy is read and written.
        const double accumulated = bytes<acc_t<T>>(values);
        const bool has_master = !std::is_same_v<T, acc_t<T>>;
        set_rates<T>(state, {.bytes = 10 * accumulated + (has_master ? bytes<T>(values) : 0)});
      });
}

template <class T>
void add_all() {
  add_rms_norm<T>();
  add_linear<T>(dim, dim);     // q_proj, o_proj
  add_linear<T>(dim, 72);      // k_proj, v_proj
  add_linear<T>(dim, hidden);  // gate_proj, up_proj
  add_linear<T>(hidden, dim);  // down_proj
  add_attention<T>();
  add_swiglu<T>();
  add_linear_cross_entropy<T>();
  add_adamw<T>();
}

const bool added = [] {
  add_all<float>();
  add_all<bfloat16>();
  add_all<float16>();
  return true;
}();

}  // namespace
