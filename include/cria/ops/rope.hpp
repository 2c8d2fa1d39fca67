#pragma once

#include <cmath>
#include <utility>
#include <vector>

#include "cria/core/check.hpp"
#include "cria/core/kernel.hpp"
#include "cria/core/tensor.hpp"
#include "cria/ops/heads.hpp"

namespace cria {

namespace detail {

/// cos and sin of position * theta^(-2 d / dim), [positions, dim / 2] each; grown when a later position is
/// asked for. A is float or double.
template <class A>
struct RotationTable {
  std::int64_t dim = 0;
  float theta = 0;
  std::vector<A> cosine, sine;

  void cover(std::int64_t positions, std::int64_t new_dim, float new_theta) {
    if (dim != new_dim || theta != new_theta) *this = {new_dim, new_theta, {}, {}};
    const std::int64_t half = dim / 2;
    const auto size = static_cast<std::size_t>(positions * half);
    for (std::size_t i = cosine.size(); i < size; ++i) {
      const auto position = static_cast<double>(static_cast<std::int64_t>(i) / half);
      const auto d = static_cast<double>(static_cast<std::int64_t>(i) % half);
      const double angle =
          position * std::pow(static_cast<double>(theta), -2.0 * d / static_cast<double>(dim));
      cosine.push_back(static_cast<A>(std::cos(angle)));
      sine.push_back(static_cast<A>(std::sin(angle)));
    }
  }
};

}  // namespace detail

namespace ops {
/// kernel: forward(a, b, start, theta, rotated_a, rotated_b), a [batch, length, heads, dim] and b the same
/// but for its heads, or empty; backward(d_rotated_a, d_rotated_b, start, theta, da, db), where each may be
/// empty.
struct Rope;
}  // namespace ops

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
  return record("rope", y, inputs(unread(x)), [start, theta, x = x.without_values()](const Tensor<T, B>& dy) {
    K::backward(detail::heads(dy), Heads<const T>{}, start, theta, detail::grad_heads(x),
                Gradient<Heads<T>>{});
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
  return record_pair("rope", rotated_q, rotated_k, inputs(unread(q), unread(k)),
                     [start, theta, q = q.without_values(), k = k.without_values()](const Tensor<T, B>& dq,
                                                                                    const Tensor<T, B>& dk) {
                       const auto values = [](const Tensor<T, B>& d) {
                         return d.defined() ? detail::heads(d) : Heads<const T>{};
                       };
                       const auto gradient = [](const Tensor<T, B>& d, const Tensor<T, B>& x) {
                         return d.defined() ? detail::grad_heads(x) : Gradient<Heads<T>>{};
                       };
                       const auto to_q = gradient(dq, q), to_k = gradient(dk, k);
                       K::backward(values(dq), values(dk), start, theta, to_q, to_k);
                     });
}

}  // namespace cria

#include "cria/backend/cpu/rope.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/rope.cuh"
#endif
