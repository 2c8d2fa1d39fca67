#pragma once
/// Recurrent networks as modules. Their parameters have PyTorch's names, and so do the gates' places in them.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cria/core/check.hpp"
#include "cria/core/parameter.hpp"
#include "cria/nn/dropout.hpp"
#include "cria/nn/input.hpp"
#include "cria/ops/linear.hpp"
#include "cria/ops/rearrange.hpp"
#include "cria/ops/recurrent.hpp"

namespace cria::nn {

struct RecurrentOptions {
  std::int64_t layers = 1;  // each but the first has the states of the one below as its input
  float dropout = 0.0f;     // of these inputs
  bool bias = true;
};

namespace detail {

template <FloatingPoint T, class B>
struct RecurrentLayer {
  Parameter<T, B> weight_ih;         // [gates * hidden, in]
  Parameter<T, B> weight_hh;         // [gates * hidden, hidden]
  Parameter<T, B> bias_ih, bias_hh;  // [gates * hidden], 0 before training, or for ever if there is none

  RecurrentLayer(std::int64_t in, std::int64_t hidden, std::int64_t gates, bool bias)
      : weight_ih({gates * hidden, in}),
        weight_hh({gates * hidden, hidden}),
        bias_ih({gates * hidden}, 0.0),
        bias_hh({gates * hidden}, 0.0) {
    bias_ih.set_requires_grad(bias);
    bias_hh.set_requires_grad(bias);
  }
  template <class From, class Source>
  explicit RecurrentLayer(const RecurrentLayer<From, Source>& other)
      : weight_ih(other.weight_ih),
        weight_hh(other.weight_hh),
        bias_ih(other.bias_ih),
        bias_hh(other.bias_hh) {}
};

/// What Gru and Lstm share: layers whose states go through all steps before those of the next begin.
template <FloatingPoint T, class B>
struct Recurrent {
  std::vector<RecurrentLayer<T, B>> layers;
  Dropout dropout;
  bool has_bias;
  std::string_view name;

  Recurrent(std::string_view called, std::int64_t in, std::int64_t hidden, std::int64_t gates,
            const RecurrentOptions& options)
      : dropout{options.dropout}, has_bias(options.bias), name(called) {
    check::option(options.layers >= 1, name, "layers", options.layers, "it must be at least 1");
    check::below_one(name, "dropout", static_cast<double>(options.dropout));
    for (std::int64_t i = 0; i < options.layers; ++i)
      layers.emplace_back(i == 0 ? in : hidden, hidden, gates, options.bias);
  }
  template <class From, class Source>
  explicit Recurrent(const Recurrent<From, Source>& other)
      : layers(other.layers.begin(), other.layers.end()),
        dropout(other.dropout),
        has_bias(other.has_bias),
        name(other.name) {}

  /// Of the states for x, [layers, batch, hidden]. Throws ShapeError unless x is [batch, time, in].
  Shape state_shape(const Tensor<T, B>& x) const {
    const std::int64_t in = layers[0].weight_ih.dim(1), hidden = layers[0].weight_hh.dim(1);
    if (x.rank() != 3 || x.dim(2) != in || x.dim(1) == 0) {
      throw ShapeError(std::string(name) + ": x is " + to_string(x.shape()) + "; it must be [batch, time, " +
                       std::to_string(in) + "], of at least one step");
    }
    return {static_cast<std::int64_t>(layers.size()), x.dim(0), hidden};
  }

  /// x [batch, time, in] -> the last layer's states [batch, time, hidden]. run(i, layer, gates) computes
  /// those of layer i, [time, batch, hidden], of what the inputs bring to the gates.
  template <class F>
  Tensor<T, B> operator()(const Tensor<T, B>& x, F run) const {
    auto states = transpose(x, 0, 1);  // [time, batch, in]
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const auto& input = i == 0 ? states : dropout(states);
      states =
          run(static_cast<std::int64_t>(i), layers[i], linear(input, layers[i].weight_ih, layers[i].bias_ih));
    }
    return transpose(states, 0, 1);
  }

  static void visit(auto& self, auto&& field) {
    for (std::size_t i = 0; i < self.layers.size(); ++i) {
      const std::string layer = "_l" + std::to_string(i);
      field("weight_ih" + layer, self.layers[i].weight_ih);
      field("weight_hh" + layer, self.layers[i].weight_hh);
      if (!self.has_bias) continue;
      field("bias_ih" + layer, self.layers[i].bias_ih);
      field("bias_hh" + layer, self.layers[i].bias_hh);
    }
  }
};

}  // namespace detail

/// Gated recurrent units (ops/recurrent.hpp), in layers: x [batch, time, in] and the states before it,
/// [layers, batch, hidden], zeros if there are none -> the last layer's states after each step [batch, time,
/// hidden] and every layer's after the last [layers, batch, hidden]. Throws ShapeError if the shapes do not
/// fit or there is no step.
///
///   const nn::Gru<float> gru(8, 32, {.layers = 2});
///   const auto [y, h] = gru(x);
///   const auto [more, last] = gru(next, h);
template <FloatingPoint T, class B = DefaultBackend>
struct Gru {
  detail::Recurrent<T, B> all;

  Gru(std::int64_t in, std::int64_t hidden, const RecurrentOptions& options = {})
      : all("Gru", in, hidden, 3, options) {}
  template <class From, class Source>
  explicit Gru(const Gru<From, Source>& other) : all(other.all) {}

  std::pair<Tensor<T, B>, Tensor<T, B>> operator()(const Tensor<T, B>& x, const Tensor<T, B>& h) const {
    check::same_shape("Gru", {"h", h.shape()}, {"the state", all.state_shape(x)});
    std::vector<Tensor<T, B>> last;
    const auto y = all(x, [&](std::int64_t i, const auto& layer, const Tensor<T, B>& gates) {
      const auto states = gru(gates, layer.weight_hh, layer.bias_hh, select(h, 0, i));
      last.push_back(select(states, 0, -1));
      return states;
    });
    return {y, stack(last, 0)};
  }
  std::pair<Tensor<T, B>, Tensor<T, B>> operator()(const Tensor<T, B>& x) const {
    return (*this)(x, Tensor<T, B>::zeros(all.state_shape(x)));
  }
  template <class Given, class Place>
  std::pair<Tensor<T, B>, Tensor<T, B>> operator()(const Tensor<Given, Place>& x) const {
    return detail::refuse_input<T, B>(x);
  }

  static void visit(auto& self, auto&& field) { detail::Recurrent<T, B>::visit(self.all, field); }
};

/// The states of an LSTM's layers and their cells, [layers, batch, hidden] each.
template <FloatingPoint T, class B = DefaultBackend>
struct LstmState {
  Tensor<T, B> h, c;
};

/// Long short-term memory (ops/recurrent.hpp), in layers: as Gru, with a state of two tensors.
///
///   const auto [y, state] = lstm(x);
template <FloatingPoint T, class B = DefaultBackend>
struct Lstm {
  detail::Recurrent<T, B> all;

  Lstm(std::int64_t in, std::int64_t hidden, const RecurrentOptions& options = {})
      : all("Lstm", in, hidden, 4, options) {}
  template <class From, class Source>
  explicit Lstm(const Lstm<From, Source>& other) : all(other.all) {}

  std::pair<Tensor<T, B>, LstmState<T, B>> operator()(const Tensor<T, B>& x,
                                                      const LstmState<T, B>& state) const {
    check::same_shape("Lstm", {"h", state.h.shape()}, {"the state", all.state_shape(x)});
    check::same_shape("Lstm", {"c", state.c.shape()}, {"the state", all.state_shape(x)});
    std::vector<Tensor<T, B>> last_h, last_c;
    const auto y = all(x, [&](std::int64_t i, const auto& layer, const Tensor<T, B>& gates) {
      const auto [states, cell] =
          lstm(gates, layer.weight_hh, layer.bias_hh, select(state.h, 0, i), select(state.c, 0, i));
      last_h.push_back(select(states, 0, -1));
      last_c.push_back(cell);
      return states;
    });
    return {y, {stack(last_h, 0), stack(last_c, 0)}};
  }
  std::pair<Tensor<T, B>, LstmState<T, B>> operator()(const Tensor<T, B>& x) const {
    const auto zeros = Tensor<T, B>::zeros(all.state_shape(x));
    return (*this)(x, {zeros, zeros});
  }
  template <class Given, class Place>
  std::pair<Tensor<T, B>, LstmState<T, B>> operator()(const Tensor<Given, Place>& x) const {
    return detail::refuse_input<T, B>(x);
  }

  static void visit(auto& self, auto&& field) { detail::Recurrent<T, B>::visit(self.all, field); }
};

}  // namespace cria::nn
