#pragma once

#include "cria/core/check.hpp"
#include "cria/core/kernel.hpp"
#include "cria/core/tensor.hpp"

namespace cria {

namespace ops {
/// kernel: forward(a [batch, m, k], b [batch, k, n], y [batch, m, n]); backward(dy, a, b, da, db).
struct MatMul;
}  // namespace ops

namespace detail {
template <class T>
Planes<T> planes(Vec<T> x, const Shape& shape) {
  return {x.data, shape.product(0, shape.rank() - 2), shape.dim(-2), shape.dim(-1)};
}
template <class T, class B>
Gradient<Planes<T>> grad_planes(const Tensor<T, B>& x) {
  const auto all = detail::grad_vec(x);
  return {planes(Vec<T>(all), x.shape()), all.fresh};
}
}  // namespace detail

/// Matrix products over equal leading dimensions: a [..., m, k], b [..., k, n] -> [..., m, n], summed in
/// acc_t<T>. Throws ShapeError if the shapes do not fit.
template <FloatingPoint T, class B>
Tensor<T, B> matmul(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  using K = kernel_for<ops::MatMul, B>;
  check::rank_at_least("matmul", {"a", a.shape()}, 2);
  check::rank("matmul", {"b", b.shape()}, a.rank());
  for (int axis = 0; axis < a.rank() - 2; ++axis) {
    check::equal_dims("matmul", {"a", a.shape()}, axis, {"b", b.shape()}, axis);
  }
  check::equal_dims("matmul", {"a", a.shape()}, -1, {"b", b.shape()}, -2);
  auto y = Tensor<T, B>::empty(a.shape().with_dim(-1, b.dim(-1)));
  K::forward(detail::planes(a.vec(), a.shape()), detail::planes(b.vec(), b.shape()),
             detail::planes(y.mutable_vec(), y.shape()));
  return record("matmul", y, inputs(a, b), [=](const Tensor<T, B>& dy) {
    const auto da = detail::grad_planes(a), db = detail::grad_planes(b);
    K::backward(detail::planes(dy.vec(), dy.shape()), detail::planes(a.vec(), a.shape()),
                detail::planes(b.vec(), b.shape()), da, db);
  });
}

}  // namespace cria

#include "cria/backend/cpu/matmul.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/matmul.cuh"
#endif
