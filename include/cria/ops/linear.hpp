#pragma once

#include "cria/backend/cpu/linear.hpp"
#include "cria/core/check.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/linear.cuh"
#endif

namespace cria {

/// y = x weight^T, summed in acc_t<T>. x [..., in], weight [out, in] -> [..., out].
/// Throws ShapeError if the inner dimensions differ.
template <FloatingPoint T, class B>
Tensor<T, B> linear(const Tensor<T, B>& x, const Parameter<T, B>& weight) {
  using K = kernel_for<ops::Linear, B>;
  check::rank_at_least("linear", {"x", x.shape()}, 1);
  check::rank("linear", {"weight", weight.shape()}, 2);
  check::equal_dims("linear", {"x", x.shape()}, -1, {"weight", weight.shape()}, -1);
  auto y = Tensor<T, B>::empty(x.shape().with_dim(-1, weight.shape().dim(0)));
  K::forward(x.rows(), weight.rows(), y.mutable_rows());
  return record("linear", y, inputs(x, weight), [=](const Tensor<T, B>& dy) {
    K::backward(dy.rows(), x.rows(), weight.rows(), sink(x).rows(), sink(weight).rows());
  });
}

}  // namespace cria
