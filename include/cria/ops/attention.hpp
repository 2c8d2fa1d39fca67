#pragma once

#include <type_traits>

#include "cria/backend/cpu/attention.hpp"
#include "cria/core/check.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/heads.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/attention.cuh"
#endif

namespace cria {

/// Causal grouped-query attention: softmax(q k^T / sqrt(dim)) v, where a query sees the keys up to its own
/// position and heads / kv_heads query heads in a row share one key/value head. Queries are the last
/// positions of the keys. q [batch, length, heads, dim], k and v [batch, keys, kv_heads, dim], keys >= length
/// -> q's shape. Memory grows with the length, not with its square. Throws ShapeError if the shapes do not
/// fit, or if parts of one tensor overlap. Vaswani et al. 2017; Ainslie et al. 2023 (groups); Dao et al. 2022
/// (backward from the denominators).
template <FloatingPoint T, class B>
Tensor<T, B> attention(const HeadsPart<T, B>& q, const std::type_identity_t<HeadsPart<T, B>>& k,
                       const std::type_identity_t<HeadsPart<T, B>>& v) {
  using K = kernel_for<ops::Attention, B>;
  check::rank("attention", {"q", q.shape()}, 4);
  check::rank("attention", {"k", k.shape()}, 4);
  check::same_shape("attention", {"k", k.shape()}, {"v", v.shape()});
  check::equal_dims("attention", {"q", q.shape()}, 0, {"k", k.shape()}, 0);
  check::equal_dims("attention", {"q", q.shape()}, 3, {"k", k.shape()}, 3);
  check::divisible("attention", {"q", q.shape()}, 2, "k.dim(2)", k.dim(2));
  check::at_least("attention", {"k", k.shape()}, 1, {"q", q.shape()}, 1);
  detail::check_apart("attention", "q", q, "k", k);
  detail::check_apart("attention", "q", q, "v", v);
  detail::check_apart("attention", "k", k, "v", v);
  auto y = Tensor<T, B>::empty(q.shape());
  auto log_sum = Tensor<acc_t<T>, B>::empty({q.dim(0), q.dim(2), q.dim(1)});
  K::forward(detail::heads(q), detail::heads(k), detail::heads(v), detail::heads(y), log_sum.mutable_vec());
  const auto read = inputs(q.whole(), k.whole(), v.whole());
  return record("attention", y, read, [=, y = y.detach()](const Tensor<T, B>& dy) {
    using To = detail::HeadsSink<T, B>;
    const auto dq = To(q).heads(), dk = To(k).heads(), dv = To(v).heads();
    K::backward(detail::heads(dy), detail::heads(q), detail::heads(k), detail::heads(v), detail::heads(y),
                log_sum.vec(), dq, dk, dv);
  });
}
template <FloatingPoint T, class B>
Tensor<T, B> attention(const Tensor<T, B>& q, const std::type_identity_t<HeadsPart<T, B>>& k,
                       const std::type_identity_t<HeadsPart<T, B>>& v) {
  return attention(HeadsPart<T, B>(q), k, v);
}

}  // namespace cria
