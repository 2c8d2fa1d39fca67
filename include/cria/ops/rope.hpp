#pragma once

#include <cmath>
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
/// kernel: forward(x [batch, length, heads, dim], start, theta, y); backward(dy, start, theta, dx).
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
  K::forward(detail::heads(x), start, theta, detail::heads(y));
  return record("rope", y, inputs(x), [start, theta, x = x.without_values()](const Tensor<T, B>& dy) {
    K::backward(detail::heads(dy), start, theta, detail::grad_heads(x));
  });
}

}  // namespace cria

#include "cria/backend/cpu/rope.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/rope.cuh"
#endif
