#pragma once

#include "cria/backend/cpu/matmul.hpp"
#include "cria/core/check.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/matmul.cuh"
#endif

namespace cria {

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
  K::forward(as_planes(a.vec().data, a.shape()), as_planes(b.vec().data, b.shape()),
             as_planes(y.mutable_vec().data, y.shape()));
  return record("matmul", y, inputs(a, b), [=](const Tensor<T, B>& dy) {
    const auto da = sink(a).planes(), db = sink(b).planes();
    K::backward(as_planes(dy.vec().data, dy.shape()), as_planes(a.vec().data, a.shape()),
                as_planes(b.vec().data, b.shape()), da, db);
  });
}

}  // namespace cria
