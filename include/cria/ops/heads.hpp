#pragma once
/// Tensors [batch, length, heads, dim] as the kernels of attention see them.

#include "cria/core/tensor.hpp"

namespace cria::detail {

template <class T, class B>
Heads<T> heads(Tensor<T, B>& x) {
  return as_heads(x.mutable_vec().data, x.shape());
}
template <class T, class B>
Heads<const T> heads(const Tensor<T, B>& x) {
  return as_heads(x.vec().data, x.shape());
}

}  // namespace cria::detail
