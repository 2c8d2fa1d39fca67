#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include "cria/backend/cpu/rope.hpp"
#include "cria/core/check.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#include "cria/core/rotation_table.hpp"
#include "cria/ops/heads.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/rope.cuh"
#endif

namespace cria {

namespace detail {
/// What is asked of one tensor [batch, length, heads, dim] and of two alike.
inline void check_rotation(const check::Named& x, std::int64_t start, const RotaryFrequencies& frequencies) {
  check::divisible("rope", x, -1, "the pair size", 2);
  check::option(start >= 0, "rope", "start", start, "it must be at least 0");
  constexpr std::int64_t most = RotaryFrequencies::max_positions;
  if (const std::int64_t length = x.shape.dim(1); start > most - length) {
    check::option(false, "rope", "start", start,
                  "there are " + std::to_string(most) + " positions at most, of which " +
                      std::string(x.name) + " has " + std::to_string(length) + " from start on");
  }
  frequencies.check("rope");
}
}  // namespace detail

/// Rotary position embedding in the rotate-half layout: elements d and d + dim/2 of each head are rotated by
/// the angle (start + t) * frequencies.frequency(d, dim), which is (start + t) * theta^(-2 d / dim) unless
/// frequencies are scaled; a number is theta. x [batch, length, heads, dim], the first position being `start`
/// -> same shape. Throws ShapeError if dim is odd, ConfigError if start is negative, if there would be more
/// than RotaryFrequencies::max_positions, or if the frequencies have unusable numbers. Su et al. 2021;
/// RotaryFrequencies names the sources of scaling.
template <FloatingPoint T, class B>
Tensor<T, B> rope(const HeadsPart<T, B>& x, std::int64_t start = 0,
                  const RotaryFrequencies& frequencies = {}) {
  using K = kernel_for<ops::Rope, B>;
  check::rank("rope", {"x", x.shape()}, 4);
  detail::check_rotation({"x", x.shape()}, start, frequencies);
  auto y = Tensor<T, B>::empty(x.shape());
  K::forward(detail::heads(x), Heads<const T>{}, start, frequencies, detail::heads(y), Heads<T>{});
  return record("rope", y, inputs(unread(x.whole())),
                [start, frequencies, to = detail::HeadsSink(x)](const Tensor<T, B>& dy) {
                  K::backward(detail::heads(dy), Heads<const T>{}, start, frequencies, to.heads(),
                              Gradient<Heads<T>>{});
                });
}
template <FloatingPoint T, class B>
Tensor<T, B> rope(const Tensor<T, B>& x, std::int64_t start = 0, const RotaryFrequencies& frequencies = {}) {
  return rope(HeadsPart<T, B>(x), start, frequencies);
}

/// Both at once: queries and keys of the same positions, which may have different numbers of heads. Throws
/// ShapeError if another dimension differs, or if parts of one tensor overlap.
template <FloatingPoint T, class B>
std::pair<Tensor<T, B>, Tensor<T, B>> rope(const HeadsPart<T, B>& q,
                                           const std::type_identity_t<HeadsPart<T, B>>& k,
                                           std::int64_t start = 0,
                                           const RotaryFrequencies& frequencies = {}) {
  using K = kernel_for<ops::Rope, B>;
  check::rank("rope", {"q", q.shape()}, 4);
  check::rank("rope", {"k", k.shape()}, 4);
  for (const int axis : {0, 1, 3}) check::equal_dims("rope", {"q", q.shape()}, axis, {"k", k.shape()}, axis);
  detail::check_rotation({"q", q.shape()}, start, frequencies);
  detail::check_apart("rope", "q", q, "k", k);
  auto rotated_q = Tensor<T, B>::empty(q.shape()), rotated_k = Tensor<T, B>::empty(k.shape());
  K::forward(detail::heads(q), detail::heads(k), start, frequencies, detail::heads(rotated_q),
             detail::heads(rotated_k));
  return record("rope", std::pair(rotated_q, rotated_k), inputs(unread(q.whole()), unread(k.whole())),
                [start, frequencies, to_q = detail::HeadsSink(q), to_k = detail::HeadsSink(k)](
                    const Tensor<T, B>& dq, const Tensor<T, B>& dk) {
                  const auto values = [](const Tensor<T, B>& d) {
                    return d.defined() ? detail::heads(d) : Heads<const T>{};
                  };
                  const auto gradient_q = dq.defined() ? to_q.heads() : Gradient<Heads<T>>{};
                  const auto gradient_k = dk.defined() ? to_k.heads() : Gradient<Heads<T>>{};
                  K::backward(values(dq), values(dk), start, frequencies, gradient_q, gradient_k);
                });
}
template <FloatingPoint T, class B>
std::pair<Tensor<T, B>, Tensor<T, B>> rope(const Tensor<T, B>& q,
                                           const std::type_identity_t<HeadsPart<T, B>>& k,
                                           std::int64_t start = 0,
                                           const RotaryFrequencies& frequencies = {}) {
  return rope(HeadsPart<T, B>(q), k, start, frequencies);
}

}  // namespace cria
