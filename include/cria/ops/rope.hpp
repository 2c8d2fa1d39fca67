#pragma once

#include <utility>

#include "cria/backend/cpu/rope.hpp"
#include "cria/core/check.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/heads.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/rope.cuh"
#endif

namespace cria {

/// Rotary position embedding in the rotate-half layout: elements d and d + dim/2 of each head are rotated by
/// the angle (start + t) * theta^(-2 d / dim). x [batch, length, heads, dim], the first position being
/// `start` -> same shape. Throws ShapeError if dim is odd. Su et al. 2021.
template <FloatingPoint T, class B>
Tensor<T, B> rope(const Tensor<T, B>& x, std::int64_t start = 0, float theta = 10000.0f) {
  using K = kernel_for<ops::Rope, B>;
  check::rank("rope", {"x", x.shape()}, 4);
  check::divisible("rope", {"x", x.shape()}, -1, "the pair size", 2);
  auto y = Tensor<T, B>::empty(x.shape());
  K::forward(detail::heads(x), Heads<const T>{}, start, theta, detail::heads(y), Heads<T>{});
  return record("rope", y, inputs(unread(x)), [start, theta, dx = sink(x)](const Tensor<T, B>& dy) {
    K::backward(detail::heads(dy), Heads<const T>{}, start, theta, dx.heads(), Gradient<Heads<T>>{});
  });
}

/// Both at once: queries and keys of the same positions, which may have different numbers of heads. Throws
/// ShapeError if another dimension differs.
template <FloatingPoint T, class B>
std::pair<Tensor<T, B>, Tensor<T, B>> rope(const Tensor<T, B>& q, const Tensor<T, B>& k,
                                           std::int64_t start = 0, float theta = 10000.0f) {
  using K = kernel_for<ops::Rope, B>;
  check::rank("rope", {"q", q.shape()}, 4);
  check::rank("rope", {"k", k.shape()}, 4);
  for (const int axis : {0, 1, 3}) check::equal_dims("rope", {"q", q.shape()}, axis, {"k", k.shape()}, axis);
  check::divisible("rope", {"q", q.shape()}, -1, "the pair size", 2);
  auto rotated_q = Tensor<T, B>::empty(q.shape()), rotated_k = Tensor<T, B>::empty(k.shape());
  K::forward(detail::heads(q), detail::heads(k), start, theta, detail::heads(rotated_q),
             detail::heads(rotated_k));
  return record(
      "rope", std::pair(rotated_q, rotated_k), inputs(unread(q), unread(k)),
      [start, theta, to_q = sink(q), to_k = sink(k)](const Tensor<T, B>& dq, const Tensor<T, B>& dk) {
        const auto values = [](const Tensor<T, B>& d) {
          return d.defined() ? detail::heads(d) : Heads<const T>{};
        };
        const auto gradient_q = dq.defined() ? to_q.heads() : Gradient<Heads<T>>{};
        const auto gradient_k = dk.defined() ? to_k.heads() : Gradient<Heads<T>>{};
        K::backward(values(dq), values(dk), start, theta, gradient_q, gradient_k);
      });
}

}  // namespace cria
