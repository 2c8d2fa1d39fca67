#pragma once

#include <optional>

#include "cria/core/parameter.hpp"
#include "cria/ops/linear.hpp"

namespace cria::nn {

/// y = x weight^T, or x weight^T + bias. x [..., in] -> [..., out]; weight [out, in], bias [out].
template <FloatingPoint T, class B = DefaultBackend>
struct Linear {
  Parameter<T, B> weight;               // [out, in]
  std::optional<Parameter<T, B>> bias;  // [out], 0 before training

  /// Without a bias, as in Llama.
  Linear(std::int64_t in, std::int64_t out, bool with_bias = false) : weight({out, in}) {
    if (with_bias) bias.emplace(Shape{out}, 0.0);
  }

  Tensor<T, B> operator()(const Tensor<T, B>& x) const {
    return bias ? linear(x, weight, *bias) : linear(x, weight);
  }

  static void visit(auto& self, auto&& field) {
    field("weight", self.weight);
    field("bias", self.bias);
  }
};

}  // namespace cria::nn
