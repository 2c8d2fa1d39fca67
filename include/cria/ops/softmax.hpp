#pragma once
/// Softmax along a dimension, composed of reductions and formulas.

#include "cria/ops/reduce.hpp"

namespace cria {

namespace ops {
CRIA_FORMULA(SoftmaxGradient, (auto dy, auto y, auto sum), y*(dy - sum))
CRIA_FORMULA(LogSoftmaxGradient, (auto dy, auto y, auto sum), dy - exp(y) * sum)
}  // namespace ops

namespace detail {
/// f(x...) as a tensor of `shape` outside the graph.
template <class Y, class F, class B, class... X>
Tensor<Y, B> mapped(F f, const Shape& shape, const Tensor<X, B>&... x) {
  auto y = Tensor<Y, B>::empty(shape);
  kernel_for<ops::Map, B>::forward(f, broadcast(shape, std::array{x.shape()...}), y.mutable_vec(),
                                   x.vec()...);
  return y;
}
}  // namespace detail

/// y = e^x / (sum of e^x along a dimension), for x of any size. Throws ShapeError if there is no such
/// dimension, or nothing along it.
template <FloatingPoint T, class B>
Tensor<T, B> softmax(const Tensor<T, B>& x, int axis) {
  using A = acc_t<T>;
  const detail::Reduced shapes("softmax", x.shape(), axis, true);
  shapes.check_more_than(0, "softmax", x.shape());
  const auto greatest = detail::reduce<A>(ops::Largest{}, ops::Identity{}, shapes, x);
  auto powers = detail::mapped<A>(ops::ExpDistance{}, x.shape(), x, greatest);
  const auto sum = detail::reduce<A>(ops::Total{}, ops::Identity{}, shapes, powers);
  Tensor<T, B> y;
  if constexpr (std::is_same_v<A, T>) {
    detail::map_in_place(ops::Divide{}, powers, sum);
    y = powers;
  } else {
    y = detail::mapped<T>(ops::Divide{}, x.shape(), powers, sum);
  }
  return record(
      "softmax", y, inputs(unread(x)), [shapes, to = sink(x), values = y.detach()](const Tensor<T, B>& dy) {
        const auto products = detail::reduce<acc_t<T>>(ops::Total{}, ops::Multiply{}, shapes, dy, values);
        detail::accumulate_formula(to, dy.shape(), ops::SoftmaxGradient{}, dy, values, products);
      });
}

/// y = x - log(sum of e^x along a dimension). Throws ShapeError if there is no such dimension, or nothing
/// along it.
template <FloatingPoint T, class B>
Tensor<T, B> log_softmax(const Tensor<T, B>& x, int axis) {
  using A = acc_t<T>;
  const detail::Reduced shapes("log_softmax", x.shape(), axis, true);
  shapes.check_more_than(0, "log_softmax", x.shape());
  const auto greatest = detail::reduce<A>(ops::Largest{}, ops::Identity{}, shapes, x);
  auto log_sum = detail::reduce<A>(ops::Total{}, ops::ExpDistance{}, shapes, x, greatest);
  detail::map_in_place(ops::LogPlus{}, log_sum, greatest);
  const auto y = detail::mapped<T>(ops::Subtract{}, x.shape(), x, log_sum);
  return record("log_softmax", y, inputs(unread(x)),
                [shapes, to = sink(x), values = y.detach()](const Tensor<T, B>& dy) {
                  const auto total = detail::reduce<acc_t<T>>(ops::Total{}, ops::Identity{}, shapes, dy);
                  detail::accumulate_formula(to, dy.shape(), ops::LogSoftmaxGradient{}, dy, values, total);
                });
}

}  // namespace cria
