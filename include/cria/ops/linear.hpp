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

/// y = x weight^T, summed in acc_t<T>. x [..., in], weight [out, in], a tensor or a parameter -> [..., out].
/// Throws ShapeError if the inner dimensions differ.
template <FloatingPoint T, class B, std::derived_from<Tensor<T, B>> Weight>
Tensor<T, B> linear(const Tensor<T, B>& x, const Weight& weight) {
  using K = kernel_for<ops::Linear, B>;
  check::rank_at_least("linear", {"x", x.shape()}, 1);
  check::rank("linear", {"weight", weight.shape()}, 2);
  check::equal_dims("linear", {"x", x.shape()}, -1, {"weight", weight.shape()}, -1);
  auto y = Tensor<T, B>::empty(x.shape().with_dim(-1, weight.shape().dim(0)));
  K::forward(x.rows(), weight.rows(), y.mutable_rows());
  return record("linear", y, inputs(x, weight), [=](const Tensor<T, B>& dy) {
    with_wide_sink<acc_t<T>>(sink(weight), [&](const auto& dweight) {
      const auto dx = sink(x).rows();  // first, for x and weight may be one tensor
      K::backward(dy.rows(), x.rows(), weight.rows(), dx, dweight.rows());
    });
  });
}

/// y = x weight^T + bias. x [..., in], weight [out, in], bias [out], both tensors or parameters -> [...,
/// out]. The product is rounded to T before the bias is added. Throws ShapeError if the dimensions do not
/// fit.
template <FloatingPoint T, class B, std::derived_from<Tensor<T, B>> Weight,
          std::derived_from<Tensor<T, B>> Bias>
Tensor<T, B> linear(const Tensor<T, B>& x, const Weight& weight, const Bias& bias) {
  check::rank("linear", {"bias", bias.shape()}, 1);
  check::equal_dims("linear", {"bias", bias.shape()}, 0, {"weight", weight.shape()}, 0);
  const auto product = linear(x, weight);
  auto y = product.detach();  // nobody else has the product, so the sum takes its memory
  detail::map_in_place(ops::Add{}, y, static_cast<const Tensor<T, B>&>(bias));
  return record("bias", y, inputs(unread(product), unread(bias)),
                [d_product = sink(product), d_bias = sink(bias)](const Tensor<T, B>& dy) {
                  if (d_bias) {
                    const detail::Reduced rows("linear", dy.shape(), Axes::range(0, dy.rank() - 1), false);
                    accumulate(d_bias, detail::reduce<acc_t<T>>(ops::Total{}, ops::Identity{}, rows, dy));
                  }
                  accumulate(d_product, dy);
                });
}

}  // namespace cria
