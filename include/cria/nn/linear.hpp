#pragma once

#include <cstdint>
#include <optional>

#include "cria/core/parameter.hpp"
#include "cria/nn/input.hpp"
#include "cria/ops/linear.hpp"

namespace cria::nn {

struct LinearOptions {
  bool bias = false;
};

/// y = x weight^T, or x weight^T + bias. x [..., in] -> [..., out]; weight [out, in], bias [out].
template <FloatingPoint T, class B = DefaultBackend>
struct Linear {
  Parameter<T, B> weight;               // [out, in]
  std::optional<Parameter<T, B>> bias;  // [out], 0 before training

  /// Without a bias, as in Llama, unless it is asked for: Linear(in, out, {.bias = true}).
  Linear(std::int64_t in, std::int64_t out, const LinearOptions& options = {}) : weight({out, in}) {
    if (options.bias) bias.emplace(Shape{out}, 0.0);
  }
  template <class From, class Source>
  explicit Linear(const Linear<From, Source>& other) : weight(other.weight), bias(other.bias) {}

  Tensor<T, B> operator()(const Tensor<T, B>& x) const {
    return bias ? linear(x, weight, *bias) : linear(x, weight);
  }
  template <class Given, class Place>
  Tensor<T, B> operator()(const Tensor<Given, Place>& x) const {
    return detail::refuse_input<T, B>(x);
  }

  static void visit(auto& self, auto&& field) {
    field("weight", self.weight);
    field("bias", self.bias);
  }
};

}  // namespace cria::nn
