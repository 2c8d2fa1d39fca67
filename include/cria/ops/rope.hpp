#pragma once

#include "cria/core/check.hpp"
#include "cria/core/kernel.hpp"
#include "cria/core/tensor.hpp"
#include "cria/ops/heads.hpp"

namespace cria {

namespace ops {
/// kernel: forward(x [batch, length, heads, dim], start, theta, y); backward(dy, start, theta, dx).
struct Rope;
}  // namespace ops

/// Rotary position embedding in the rotate-half layout: elements d and d + dim/2 of each head are rotated by
/// the angle (start + t) * theta^(-2 d / dim). x [batch, length, heads, dim], the first position being
/// `start` -> same shape. Throws ShapeError if dim is odd. Su et al. 2021.
template <FloatingPoint T, class B>
Tensor<T, B> rope(const Tensor<T, B>& x, std::int64_t start = 0, float theta = 10000.0f) {
  using K = kernel_for<ops::Rope, B>;
  check::rank("rope", {"x", x.shape()}, 4);
  check::divisible("rope", {"x", x.shape()}, -1, "the pair size", 2);
  auto y = Tensor<T, B>::empty(x.shape());
  K::forward(detail::heads(x), start, theta, detail::heads(y));
  return record("rope", y, inputs(x), [start, theta, x = x.without_values()](const Tensor<T, B>& dy) {
    K::backward(detail::heads(dy), start, theta, detail::grad_heads(x));
  });
}

}  // namespace cria

#include "cria/backend/cpu/rope.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/rope.cuh"
#endif
