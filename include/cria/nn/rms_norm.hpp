#pragma once

#include "cria/core/parameter.hpp"
#include "cria/nn/input.hpp"
#include "cria/ops/rms_norm.hpp"

namespace cria::nn {

/// x / sqrt(mean(x^2) + eps) * weight along the last dimension. x [..., n] -> [..., n]; weight [n].
template <FloatingPoint T, class B = DefaultBackend>
struct RmsNorm {
  Parameter<T, B> weight;  // [n]
  float eps;

  explicit RmsNorm(std::int64_t n, float epsilon = 1e-5f) : weight({n}, 1.0), eps(epsilon) {}
  template <class From, class Source>
  explicit RmsNorm(const RmsNorm<From, Source>& other) : weight(other.weight), eps(other.eps) {}

  Tensor<T, B> operator()(const Tensor<T, B>& x) const { return rms_norm(x, weight, eps); }
  template <class Given, class Place>
  Tensor<T, B> operator()(const Tensor<Given, Place>& x) const {
    return detail::refuse_input<T, B>(x);
  }

  static void visit(auto& self, auto&& field) { field("weight", self.weight); }
};

}  // namespace cria::nn
