#pragma once

#include "cria/core/kernel.hpp"
#include "cria/core/tensor.hpp"
#include "cria/ops/accumulate.hpp"

namespace cria {

namespace ops {
/// kernel: forward(x, y) y = x, across dtypes. Backward is ops::Accumulate.
struct Cast;
}  // namespace ops

/// x with elements of type To, rounded to nearest even. The gradient comes back in x's own type.
template <FloatingPoint To, FloatingPoint From, class B>
Tensor<To, B> cast(const Tensor<From, B>& x) {
  using K = kernel_for<ops::Cast, B>;
  auto y = Tensor<To, B>::empty(x.shape());
  K::forward(x.vec(), y.mutable_vec());
  return record("cast", y, inputs(unread(x)), [x = x.without_values()](const Tensor<To, B>& dy) {
    kernel_for<ops::Accumulate, B>::add(dy.vec(), detail::grad_vec(x));
  });
}

}  // namespace cria

#include "cria/backend/cpu/cast.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/cast.cuh"
#endif
