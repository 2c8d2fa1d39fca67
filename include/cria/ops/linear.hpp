#pragma once

#include "cria/backend/cpu/linear.hpp"
#include "cria/backend/cpu/reduce.hpp"
#include "cria/core/check.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/accumulate.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/linear.cuh"
#include "cria/backend/cuda/reduce.cuh"
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

/// y = x weight^T + bias. x [..., in], weight [out, in], bias [out] -> [..., out]. The product is rounded to T
/// before the bias is added. Throws ShapeError if the dimensions do not fit.
template <FloatingPoint T, class B>
Tensor<T, B> linear(const Tensor<T, B>& x, const Parameter<T, B>& weight, const Parameter<T, B>& bias) {
  using Sum = kernel_for<ops::Sum, B>;  // over rows: its backward adds one row to all, as a bias
  check::rank("linear", {"bias", bias.shape()}, 1);
  check::equal_dims("linear", {"bias", bias.shape()}, 0, {"weight", weight.shape()}, 0);
  const auto product = linear(x, weight);
  const std::int64_t out = bias.size(), rows = product.shape().leading().size();
  auto y = product.detach();  // nobody else has the product, so the sum takes its memory
  Sum::backward(bias.vec(), Gradient<Planes<T>>{{y.mutable_vec().data, 1, rows, out}, false});
  return record("bias", y, inputs(unread(product), unread(bias)),
                [out, rows, d_product = sink(product), d_bias = sink(bias)](const Tensor<T, B>& dy) {
                  if (d_bias) {
                    auto sums = Tensor<acc_t<T>, B>::empty({out});
                    Sum::forward(Planes<const T>{dy.vec().data, 1, rows, out}, sums.mutable_vec());
                    accumulate(d_bias, sums);
                  }
                  accumulate(d_product, dy);
                });
}

}  // namespace cria
