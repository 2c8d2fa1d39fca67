// Training steps of small networks, and steps of optimisers, in float. compare/rows.sh networks runs them
// beside PyTorch's.

#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "cria/cria.hpp"

namespace {

using namespace cria;
using Floats = Tensor<float>;
using Classes = Tensor<std::int32_t>;

/// A row: f() is timed as often as it takes.
template <class F>
void row(const char* name, F f) {
  benchmark::RegisterBenchmark(name,
                               [f](benchmark::State& state) {
                                 f();  // warms up
                                 for (auto _ : state) f();
                               })
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime();
}

/// Forward, backward and AdamW of a model that gives scores [n, 10] of x [n, ...].
template <class M>
void step_row(const char* name, M model, const Shape& shape) {
  struct Training {
    M model;
    Floats x;
    Classes y;
    AdamW<> optimizer;
    Training(M network, const Shape& shape_of_x, Rng rng)
        : model((nn::initialize(network, rng.split(0)), network)),
          x(randn<float>(shape_of_x, rng)),
          y(randint(0, 10, {shape_of_x.dim(0)}, rng)),
          optimizer(model, {}) {}
  };
  row(name, [training = std::make_shared<Training>(model, shape, Rng(1))] {
    backward(cross_entropy(training->model(training->x), training->y));
    training->optimizer.step();
  });
}

auto mlp() {
  return nn::Sequential{nn::Linear<float>(784, 256, {.bias = true}), nn::Relu(),
                        nn::Linear<float>(256, 10, {.bias = true})};
}

auto convnet() {
  return nn::Sequential{nn::Conv2d<float>(1, 16, 3, {.padding = 1}),  // [n, 16, 28, 28]
                        nn::Relu(),
                        nn::MaxPool2d{2},
                        nn::Conv2d<float>(16, 32, 3, {.padding = 1}),  // [n, 32, 14, 14]
                        nn::Relu(),
                        nn::MaxPool2d{2},
                        nn::Flatten(),
                        nn::Linear<float>(32 * 7 * 7, 10, {.bias = true})};
}

/// Classes of sequences [n, time, 64] by the last state.
struct Recurrent {
  nn::Gru<float> gru{64, 128};
  nn::Linear<float> scores{128, 10, {.bias = true}};
  Floats operator()(const Floats& x) const { return scores(select(gru(x).second, 0, 0)); }
  static void visit(auto& self, auto&& field) {
    field("gru", self.gru);
    field("scores", self.scores);
  }
};

/// Classes of sequences [n, time, 128] by the mean over their positions.
struct Transformer {
  nn::TransformerEncoderBlock<float> first{128, 4}, second{128, 4};
  nn::Linear<float> scores{128, 10, {.bias = true}};
  Floats operator()(const Floats& x) const { return scores(mean(second(first(x)), 1)); }
  static void visit(auto& self, auto&& field) {
    field("first", self.first);
    field("second", self.second);
    field("scores", self.scores);
  }
};

/// Ten matrices of a million weights.
struct Weights {
  std::vector<nn::Linear<float>> layers;
  Weights() {
    for (int i = 0; i < 10; ++i) layers.emplace_back(1000, 1000);
  }
  static void visit(auto& self, auto&& field) { field("layers", self.layers); }
};

template <class Optimizer, class Options>
void optimizer_row(const char* name, const Options& options) {
  struct Training {
    Weights model;
    Floats gradient;
    Optimizer optimizer;
    Training(const Options& more, Rng rng)
        : gradient(randn<float>({1000, 1000}, rng)),
          optimizer((nn::initialize(model, rng.split(0)), model), more) {}
  };
  row(name, [training = std::make_shared<Training>(options, Rng(1))] {
    for (auto& layer : training->model.layers) layer.weight.set_grad(training->gradient);
    training->optimizer.step();
  });
}

const bool registered = [] {
  step_row("MLP", mlp(), {64, 784});
  step_row("ConvNet", convnet(), {64, 1, 28, 28});
  step_row("GRU", Recurrent(), {32, 64, 64});
  step_row("Transformer", Transformer(), {32, 64, 128});
  optimizer_row<SGD<>>("SGD", SGDOptions{.momentum = 0.9});
  optimizer_row<Adam<>>("Adam", AdamOptions{});
  optimizer_row<AdamW<>>("AdamW", AdamWOptions{});
  optimizer_row<RMSprop<>>("RMSprop", RMSpropOptions{});
  optimizer_row<Adafactor<>>("Adafactor", AdafactorOptions{});
  optimizer_row<Muon<>>("Muon", MuonOptions{.bfloat16_products = true});
  return true;
}();

}  // namespace
