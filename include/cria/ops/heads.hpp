#pragma once
/// Tensors [batch, length, heads, dim] as the kernels of attention see them.

#include "cria/core/tensor.hpp"

namespace cria::detail {

template <class T>
Heads<T> heads(Vec<T> x, const Shape& shape) {
  return {x.data, shape.dim(0), shape.dim(1), shape.dim(2), shape.dim(3)};
}

template <class T, class B>
Heads<T> heads(Tensor<T, B>& x) {
  return heads(x.mutable_vec(), x.shape());
}
template <class T, class B>
Heads<const T> heads(const Tensor<T, B>& x) {
  return heads(x.vec(), x.shape());
}

/// The gradient of x, to be added to; empty if it is not wanted.
template <class T, class B>
Gradient<Heads<T>> grad_heads(const Tensor<T, B>& x) {
  const auto all = detail::grad_vec(x);
  return {heads(Vec<T>(all), x.shape()), all.fresh};
}

}  // namespace cria::detail
