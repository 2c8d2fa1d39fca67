#pragma once

#include <array>

#include "cria/backend/cpu/cast.hpp"
#include "cria/core/formulas.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/accumulate.hpp"
#include "cria/ops/map.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/cast.cuh"
#endif

namespace cria {

/// x with elements of type To, rounded to nearest even. The gradient comes back in x's own type.
template <FloatingPoint To, FloatingPoint From, class B>
Tensor<To, B> cast(const Tensor<From, B>& x) {
  using K = kernel_for<ops::Cast, B>;
  auto y = Tensor<To, B>::empty(x.shape());
  K::forward(x.vec(), y.mutable_vec());
  return record("cast", y, inputs(unread(x)), [dx = sink(x)](const Tensor<To, B>& dy) {
    kernel_for<ops::Accumulate, B>::add(dy.vec(), dx.vec());
  });
}

/// From or to integers and masks, without a gradient: numbers are cut off, not rounded; what is too large for
/// an integer becomes its largest or smallest, and NaN becomes 0. A mask is what is not 0.
template <class To, class From, class B>
requires(!FloatingPoint<To> || !FloatingPoint<From>) Tensor<To, B> cast(const Tensor<From, B>& x) {
  auto y = Tensor<To, B>::empty(x.shape());
  kernel_for<ops::Map, B>::forward(ops::Convert<To>{}, broadcast(x.shape(), std::array{x.shape()}),
                                   y.mutable_vec(), x.vec());
  return y;
}

}  // namespace cria
