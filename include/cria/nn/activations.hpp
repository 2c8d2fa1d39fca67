#pragma once
/// Activations as modules, for Sequential: ops/elementwise.hpp has them as functions.

#include "cria/ops/elementwise.hpp"

namespace cria::nn {

/// A module without parameters: CRIA_ACTIVATION(Name, f(x)).
#define CRIA_ACTIVATION(Name, ...) \
  struct Name { \
    template <FloatingPoint T, class B> \
    Tensor<T, B> operator()(const Tensor<T, B>& x) const { \
      return __VA_ARGS__; \
    } \
    static void visit(auto&, auto&&) {} \
  };

CRIA_ACTIVATION(Relu, relu(x))
CRIA_ACTIVATION(Gelu, gelu(x))
CRIA_ACTIVATION(GeluTanh, gelu_tanh(x))
CRIA_ACTIVATION(Silu, silu(x))
CRIA_ACTIVATION(Sigmoid, sigmoid(x))
CRIA_ACTIVATION(Tanh, tanh(x))
CRIA_ACTIVATION(Softplus, softplus(x))

#undef CRIA_ACTIVATION

/// x, or slope x where it is negative.
struct LeakyRelu {
  double slope = 0.01;

  template <FloatingPoint T, class B>
  Tensor<T, B> operator()(const Tensor<T, B>& x) const {
    return leaky_relu(x, static_cast<acc_t<T>>(slope));
  }
  static void visit(auto&, auto&&) {}
};

/// x, or alpha (e^x - 1) where it is negative.
struct Elu {
  double alpha = 1.0;

  template <FloatingPoint T, class B>
  Tensor<T, B> operator()(const Tensor<T, B>& x) const {
    return elu(x, static_cast<acc_t<T>>(alpha));
  }
  static void visit(auto&, auto&&) {}
};

}  // namespace cria::nn
