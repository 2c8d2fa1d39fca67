// The operators for any network, in float. compare/rows.sh operators runs them beside PyTorch's, row by row.

#include <benchmark/benchmark.h>

#include "cria/cria.hpp"

namespace {

using namespace cria;
using Floats = Tensor<float>;

Floats random(const Shape& shape) {
  Rng rng(static_cast<std::uint64_t>(shape.size()));
  return randn<float>(shape, rng);
}
Floats leaf(const Shape& shape) {
  return random(shape).set_requires_grad();
}

/// A row: f() is timed as often as it takes.
template <class F>
void row(const char* name, F f) {
  benchmark::RegisterBenchmark(name,
                               [f](benchmark::State& state) mutable {
                                 for (auto _ : state) benchmark::DoNotOptimize(f());
                               })
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime();
}
/// The same with backward. The gradients are forgotten before.
template <class F, class... X>
void row_with_gradients(const char* name, F f, X... x) {
  row(name, [=]() mutable {
    (x.clear_grad(), ...);
    const auto loss = sum(f());
    backward(loss);
    return loss;
  });
}

const bool registered = [] {
  const Floats x = random({1024, 1024}), y = random({1024, 1024}), line = random({1024}), few = random({4});
  row("chain of 5 as operators", [=] { return tanh(x * y + line) * y - x; });
  row("chain of 5 as one map",
      [=] { return map([](auto a, auto b, auto c) { return tanh(a * b + c) * b - a; }, x, y, line); });
  row("add a row", [=] { return x + line; });
  auto weight = leaf({1024, 1024}), bias = leaf({1024});
  row_with_gradients(
      "add a row, and backward", [=] { return weight + bias; }, weight, bias);
  row("sum of all", [=] { return sum(x); });
  row("sum of rows", [=] { return sum(x, 1); });
  row("sum of columns", [=] { return sum(x, 0); });
  const Floats images = random({64, 32, 28, 28});
  row("sum of channels", [=] { return sum(images, {0, 2, 3}); });
  row("max of rows", [=] { return max(x, 1); });
  row("argmax of rows", [=] { return argmax(x, 1); });
  row("variance of rows", [=] { return variance(x, 1); });
  row("softmax", [=] { return softmax(x, 1); });
  row_with_gradients(
      "softmax, and backward", [=] { return softmax(weight, 1) * y; }, weight);
  auto scale = leaf({1024}), shift = leaf({1024});
  row("layer_norm", [=] { return layer_norm(x, scale.detach(), shift.detach()); });
  row_with_gradients(
      "layer_norm, and backward", [=] { return layer_norm(weight, scale, shift) * y; }, weight, scale, shift);
  const Floats heads = random({64, 128, 256});
  row("permute {2, 0, 1}", [=] { return permute(heads, {2, 0, 1}); });
  row("permute {0, 2, 1}", [=] { return permute(heads, {0, 2, 1}); });
  row("concat of rows", [=] { return concat({x, y}, 0); });
  row("concat of columns", [=] { return concat({x, y}, 1); });
  auto pixels = leaf({16, 32, 28, 28}), kernel = leaf({32, 32, 3, 3});
  row("conv2d", [=] { return conv2d(pixels.detach(), kernel.detach(), {.padding = 1}); });
  row_with_gradients(
      "conv2d, and backward", [=] { return conv2d(pixels, kernel, {.padding = 1}); }, pixels, kernel);
  row("4 elements", [=] { return few * few; });
  auto small = leaf({4});
  row("4 elements, recorded", [=] { return small * small; });
  return true;
}();

}  // namespace
