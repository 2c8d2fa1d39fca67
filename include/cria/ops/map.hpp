#pragma once

#include <array>
#include <string_view>
#include <tuple>
#include <utility>

#include "cria/backend/cpu/elementwise.hpp"
#include "cria/core/broadcast.hpp"
#include "cria/core/formula.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/elementwise.cuh"
#endif

namespace cria {

namespace detail {

template <class F, class B, class... X>
Tensor<formula::output_t<F, X...>, B> map_values(std::string_view op, F f, const Tensor<X, B>&... x) {
  const std::array shapes{x.shape()...};
  const Shape shape = broadcast_shape(op, shapes);
  auto y = Tensor<formula::output_t<F, X...>, B>::empty(shape);
  kernel_for<ops::Map, B>::forward(f, broadcast(shape, shapes), y.mutable_vec(), x.vec()...);
  return y;
}

/// `map`, for the operation that is called `op`.
template <class F, class B, class... X>
Tensor<formula::output_t<F, X...>, B> map(std::string_view op, F f, const Tensor<X, B>&... x) {
  static_assert(sizeof...(X) <= most_inputs, "map takes at most 4 tensors");
  using Y = formula::output_t<F, X...>;
  using T = formula::floating_t<X...>;
  static_assert(((!FloatingPoint<X> || std::is_same_v<X, T>)&&...),
                "tensors of different floating-point types are combined; cast one of them");
  auto y = map_values(op, f, x...);
  if constexpr (FloatingPoint<Y> && !std::is_void_v<T>) {
    auto from = inputs(x...);
    if (!from.wanted) return unrecorded(op, std::move(y), from);
    return record(
        op, std::move(y), std::move(from),
        [=](const Tensor<Y, B>& dy) {
          const std::array shapes{x.shape()...};
          // In the order of the inputs: of two gradients that are the same memory the first is fresh.
          const std::tuple<Gradient<Vec<X>>...> dx{sink(x).vec()...};
          kernel_for<ops::Map, B>::backward(f, broadcast(dy.shape(), shapes), dy.vec(),
                                            std::tuple<Vec<const X>...>{x.vec()...}, dx);
        },
        [=] { return map_values(op, f, x...); });
  } else {
    return y;
  }
}

/// The same under NoGrad, without the derivatives, which take longest to compile.
template <class F, class B, class... X>
Tensor<formula::output_t<F, X...>, B> map_without_gradient(std::string_view op, F f,
                                                           const Tensor<X, B>&... x) {
  return unrecorded(op, map_values(op, f, x...), inputs(x...));
}

}  // namespace detail

/// y = f(x...) of the elements of up to four tensors, whose shapes are broadcast (core/broadcast.hpp), in one
/// pass. `f` states the formula: a generic lambda, or on a GPU CRIA_FORMULA, that takes numbers and uses what
/// core/dual.hpp declares:
///
///   auto y = map([](auto x, auto a, auto b) { return tanh(a * x) + b; }, x, scale, bias);
///
/// Its derivatives are computed from it. It computes in acc_t<T>; what is a number becomes a tensor of the
/// inputs' type T, a comparison a Tensor<bool>. Throws ShapeError if the shapes do not fit together.
template <class F, class B, class... X>
Tensor<formula::output_t<F, X...>, B> map(F f, const Tensor<X, B>&... x) {
  return detail::map("map", f, x...);
}

}  // namespace cria
