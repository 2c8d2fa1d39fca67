#pragma once
/// Attention that sees everything, or what a mask leaves, composed of products and a softmax. (Causal
/// attention has kernels of its own: ops/attention.hpp.)

#include <cmath>
#include <limits>

#include "cria/core/check.hpp"
#include "cria/ops/elementwise.hpp"
#include "cria/ops/matmul.hpp"
#include "cria/ops/rearrange.hpp"
#include "cria/ops/softmax.hpp"

namespace cria {

namespace detail {

template <FloatingPoint T, class B, class F>
Tensor<T, B> dot_product_attention(const Tensor<T, B>& q, const Tensor<T, B>& k, const Tensor<T, B>& v,
                                   F hide) {
  constexpr const char* op = "scaled_dot_product_attention";
  check::rank_at_least(op, {"q", q.shape()}, 2);
  check::rank_at_least(op, {"k", k.shape()}, 2);
  check::rank_at_least(op, {"v", v.shape()}, 2);
  check::equal_dims(op, {"q", q.shape()}, -1, {"k", k.shape()}, -1);
  check::equal_dims(op, {"k", k.shape()}, -2, {"v", v.shape()}, -2);
  const auto scale = static_cast<acc_t<T>>(1 / std::sqrt(static_cast<double>(q.dim(-1))));
  const auto scores = matmul(q * scale, transpose(k, -2, -1));  // [..., length, keys]
  return matmul(softmax(hide(scores), -1), v);
}

}  // namespace detail

/// softmax(q k^T / sqrt(dim)) v. q [..., length, dim], k [..., keys, dim], v [..., keys, n] -> [..., length,
/// n]; the leading dimensions, batch and heads as a rule, are broadcast. Throws ShapeError if the shapes do
/// not fit. Vaswani et al. 2017.
template <FloatingPoint T, class B>
Tensor<T, B> scaled_dot_product_attention(const Tensor<T, B>& q, const Tensor<T, B>& k,
                                          const Tensor<T, B>& v) {
  return detail::dot_product_attention(q, k, v, [](const Tensor<T, B>& scores) { return scores; });
}
/// The same where a query does not see the keys that `hidden` says, which is broadcast to [..., length,
/// keys]. One that sees none at all gets NaN.
template <FloatingPoint T, class B>
Tensor<T, B> scaled_dot_product_attention(const Tensor<T, B>& q, const Tensor<T, B>& k, const Tensor<T, B>& v,
                                          const Tensor<bool, B>& hidden) {
  return detail::dot_product_attention(q, k, v, [&](const Tensor<T, B>& scores) {
    return masked_fill(scores, hidden, -std::numeric_limits<acc_t<T>>::infinity());
  });
}

}  // namespace cria
