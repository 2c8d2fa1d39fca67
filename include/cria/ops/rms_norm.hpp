#pragma once

#include "cria/core/check.hpp"
#include "cria/core/kernel.hpp"
#include "cria/core/parameter.hpp"

namespace cria {

namespace ops {
/// kernel: forward(x [rows, n], weight [n], eps, y [rows, n], inv_rms [rows]);
/// backward(dy, x, weight, inv_rms, dx, dweight).
struct RmsNorm;
}  // namespace ops

/// y = x / sqrt(mean(x^2, last dimension) + eps) * weight, computed in acc_t<T>. x [..., n], weight [n] ->
/// [..., n]. Throws ShapeError if weight is not [n]. Zhang & Sennrich 2019.
template <FloatingPoint T, class B>
Tensor<T, B> rms_norm(const Tensor<T, B>& x, const Parameter<T, B>& weight, float eps = 1e-5f) {
  using K = kernel_for<ops::RmsNorm, B>;
  check::rank_at_least("rms_norm", {"x", x.shape()}, 1);
  check::rank("rms_norm", {"weight", weight.shape()}, 1);
  check::equal_dims("rms_norm", {"x", x.shape()}, -1, {"weight", weight.shape()}, 0);
  const auto inv_rms = Tensor<acc_t<T>, B>::empty(x.shape().leading());
  const auto compute = [=] {
    auto y = Tensor<T, B>::empty(x.shape());
    auto saved = inv_rms;
    K::forward(x.rows(), weight.vec(), eps, y.rows(), saved.vec());
    return y;
  };
  return record_repeatable("rms_norm", compute, inputs(x, weight), [=](const Tensor<T, B>& dy) {
    K::backward(dy.rows(), x.rows(), weight.vec(), inv_rms.vec(), x.grad_rows(), weight.grad_vec());
  });
}

}  // namespace cria

#include "cria/backend/cpu/rms_norm.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/rms_norm.cuh"
#endif
