#pragma once

#include "cria/core/kernel.hpp"
#include "cria/core/parameter.hpp"

namespace cria {

namespace ops {
/// kernel: add(x, sum) sum += x, rounded to sum's dtype.
struct Accumulate;
}  // namespace ops

/// Adds `gradient` to the gradient of x, which has as many elements. The first one is not copied but shared.
template <FloatingPoint T, class B>
void accumulate_gradient(const Tensor<T, B>& x, const Tensor<T, B>& gradient) {
  if (!x.requires_grad()) return;
  if (!x.gradient_slot()->storage()) {
    x.gradient_slot()->share(gradient.storage());
  } else {
    kernel_for<ops::Accumulate, B>::add(gradient.vec(), detail::grad_vec(x));
  }
}

/// Records y = a + b, however it was computed.
template <FloatingPoint T, class B>
Tensor<T, B> record_sum(const Tensor<T, B>& y, const Tensor<T, B>& a, const Tensor<T, B>& b) {
  return record("add", y, inputs(unread(a), unread(b)),
                [a = a.without_values(), b = b.without_values()](const Tensor<T, B>& dy) {
                  accumulate_gradient(a, dy);
                  accumulate_gradient(b, dy);
                });
}

}  // namespace cria

#include "cria/backend/cpu/accumulate.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/accumulate.cuh"
#endif
