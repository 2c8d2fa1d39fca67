#pragma once

#include <array>
#include <tuple>

#include "cria/core/broadcast.hpp"
#include "cria/core/formulas.hpp"
#include "cria/ops/map.hpp"

namespace cria {

/// x broadcast to a shape by NumPy's rules. Throws ShapeError if it does not fit.
template <class T, class B>
Tensor<T, B> expand(const Tensor<T, B>& x, const Shape& shape) {
  using K = kernel_for<ops::Map, B>;
  if (broadcast_shape("expand", std::array{x.shape(), shape}) != shape) {
    throw ShapeError("expand: x is " + to_string(x.shape()) + ", which cannot be expanded to " +
                     to_string(shape) + "; counted from the last, dimensions must be equal, or 1 in x");
  }
  auto y = Tensor<T, B>::empty(shape);
  const auto loop = broadcast(shape, std::array{x.shape()});
  K::forward(ops::Identity{}, loop, y.mutable_vec(), x.vec());
  if constexpr (FloatingPoint<T>) {
    return record(
        "expand", y, inputs(unread(x)), [loop, values = x.detach(), dx = sink(x)](const Tensor<T, B>& dy) {
          K::backward(ops::Identity{}, loop, dy.vec(), std::tuple{values.vec()}, std::tuple{dx.vec()});
        });
  } else {
    return y;
  }
}

}  // namespace cria
