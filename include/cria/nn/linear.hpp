#pragma once

#include "cria/core/parameter.hpp"
#include "cria/ops/linear.hpp"

namespace cria::nn {

/// y = x weight^T. x [..., in] -> [..., out]; weight [out, in], without a bias as in Llama.
template <FloatingPoint T, class B = DefaultBackend>
struct Linear {
  Parameter<T, B> weight;  // [out, in]

  Linear(std::int64_t in, std::int64_t out) : weight({out, in}) {}

  Tensor<T, B> operator()(const Tensor<T, B>& x) const { return linear(x, weight); }

  static void visit(auto& self, auto&& field) { field("weight", self.weight); }
};

}  // namespace cria::nn
