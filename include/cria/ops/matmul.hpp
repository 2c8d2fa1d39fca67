#pragma once

#include "cria/core/check.hpp"
#include "cria/core/kernel.hpp"
#include "cria/core/tensor.hpp"

namespace cria {

namespace ops {
/// kernel: forward(a [batch, m, k], b [batch, k, n], y [batch, m, n]); backward(dy, a, b, da, db).
struct MatMul;
}  // namespace ops

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
  const auto planes = [](auto values, const Shape& shape) {
    return Planes<std::remove_pointer_t<decltype(values.data)>>{
        values.data, shape.product(0, shape.rank() - 2), shape.dim(-2), shape.dim(-1)};
  };
  auto y = Tensor<T, B>::empty(a.shape().with_dim(-1, b.dim(-1)));
  K::forward(planes(a.vec(), a.shape()), planes(b.vec(), b.shape()), planes(y.vec(), y.shape()));
  return record("matmul", y, inputs(a, b), [=](const Tensor<T, B>& dy) {
    K::backward(planes(dy.vec(), dy.shape()), planes(a.vec(), a.shape()), planes(b.vec(), b.shape()),
                planes(a.grad_vec(), a.shape()), planes(b.grad_vec(), b.shape()));
  });
}

}  // namespace cria

#include "cria/backend/cpu/matmul.hpp"
