#pragma once

#include <concepts>

#include "cria/backend/cpu/linear.hpp"
#include "cria/core/check.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/accumulate.hpp"
#include "cria/ops/reduce.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/linear.cuh"
#endif

namespace cria {

namespace detail {

/// Throws ShapeError unless a product x weight^T is possible. Its shape.
inline Shape linear_shape(const Shape& x, const Shape& weight) {
  check::rank_at_least("linear", {"x", x}, 1);
  check::rank("linear", {"weight", weight}, 2);
  check::equal_dims("linear", {"x", x}, -1, {"weight", weight}, -1);
  return x.with_dim(-1, weight.dim(0));
}

/// Adds the gradients of x and weight.
template <FloatingPoint T, class B, class Weight>
void add_linear_gradients(const Tensor<T, B>& dy, const Tensor<T, B>& x, const Weight& weight) {
  with_wide_sink<acc_t<T>>(sink(weight), [&](const auto& dweight) {
    const auto dx = sink(x).rows();  // first, for x and weight may be one tensor
    kernel_for<ops::Linear, B>::backward(dy.rows(), x.rows(), weight.rows(), dx, dweight.rows());
  });
}

}  // namespace detail

/// y = x weight^T, summed in acc_t<T>. x [..., in], weight [out, in], a tensor or a parameter -> [..., out].
/// Throws ShapeError if the inner dimensions differ.
template <FloatingPoint T, class B, std::derived_from<Tensor<T, B>> Weight>
Tensor<T, B> linear(const Tensor<T, B>& x, const Weight& weight) {
  auto y = Tensor<T, B>::empty(detail::linear_shape(x.shape(), weight.shape()));
  kernel_for<ops::Linear, B>::forward(x.rows(), weight.rows(), {}, y.mutable_rows());
  return record("linear", y, inputs(x, weight),
                [=](const Tensor<T, B>& dy) { detail::add_linear_gradients(dy, x, weight); });
}

/// y = x weight^T + bias, rounded once. x [..., in], weight [out, in], bias [out], both tensors or parameters
/// -> [..., out]. Throws ShapeError if the dimensions do not fit.
template <FloatingPoint T, class B, std::derived_from<Tensor<T, B>> Weight,
          std::derived_from<Tensor<T, B>> Bias>
Tensor<T, B> linear(const Tensor<T, B>& x, const Weight& weight, const Bias& bias) {
  auto y = Tensor<T, B>::empty(detail::linear_shape(x.shape(), weight.shape()));
  check::rank("linear", {"bias", bias.shape()}, 1);
  check::equal_dims("linear", {"bias", bias.shape()}, 0, {"weight", weight.shape()}, 0);
  kernel_for<ops::Linear, B>::forward(x.rows(), weight.rows(), bias.vec(), y.mutable_rows());
  return record("linear", y, inputs(x, weight, unread(bias)),
                [=, d_bias = sink(bias)](const Tensor<T, B>& dy) {
                  detail::add_bias_gradient("linear", d_bias, dy, Axes::range(0, dy.rank() - 1));
                  detail::add_linear_gradients(dy, x, weight);
                });
}

}  // namespace cria
