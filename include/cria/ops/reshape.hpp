#pragma once

#include "cria/backend/cpu/reshape.hpp"
#include "cria/core/check.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/accumulate.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/reshape.cuh"
#endif

namespace cria {

/// The same elements in row-major order under another shape. Shares x's memory.
/// Throws ShapeError unless the number of elements stays the same.
template <class T, class B>
Tensor<T, B> reshape(const Tensor<T, B>& x, const Shape& shape) {
  check::same_size("reshape", {"x", x.shape()}, {"shape", shape});
  auto y = detail::share_values(x, shape);
  if constexpr (FloatingPoint<T>) {
    return record("reshape", y, inputs(unread(x)),
                  [dx = sink(x)](const Tensor<T, B>& dy) { accumulate(dx, dy); });
  } else {
    return y;
  }
}

/// Swaps two dimensions, copying. x [..., p, ..., q, ...] -> [..., q, ..., p, ...]
/// Throws ShapeError if a dimension does not exist.
template <class T, class B>
Tensor<T, B> transpose(const Tensor<T, B>& x, int axis_a, int axis_b) {
  using K = kernel_for<ops::Transpose, B>;
  const int first = std::min(x.shape().axis(axis_a), x.shape().axis(axis_b));
  const int second = std::max(x.shape().axis(axis_a), x.shape().axis(axis_b));
  if (first == second) return x;
  const Shape& s = x.shape();
  const Shape from{s.product(0, first), s.dim(first), s.product(first + 1, second), s.dim(second),
                   s.product(second + 1, s.rank())};
  const Shape to{from.dim(0), from.dim(3), from.dim(2), from.dim(1), from.dim(4)};
  auto y = Tensor<T, B>::empty(s.with_dim(first, s.dim(second)).with_dim(second, s.dim(first)));
  K::forward(x.vec(), from, y.mutable_vec());
  if constexpr (FloatingPoint<T>) {
    return record("transpose", y, inputs(unread(x)),
                  [to, dx = sink(x)](const Tensor<T, B>& dy) { K::backward(dy.vec(), to, dx.vec()); });
  } else {
    return y;
  }
}

}  // namespace cria
