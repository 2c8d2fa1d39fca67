#pragma once

#include "cria/backend/cpu/cast.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/accumulate.hpp"
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

}  // namespace cria
