#pragma once
/// Softmax along a dimension: by kernels of its own along the last one, if that fills registers, otherwise
/// composed of reductions and formulas.

#include "cria/backend/cpu/softmax.hpp"
#include "cria/ops/reduce.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/softmax.cuh"
#endif

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

/// Softmax along any dimension, or its logarithm, outside the graph.
template <FloatingPoint T, class B>
Tensor<T, B> composed_softmax(const Tensor<T, B>& x, const Reduced& shapes, bool log) {
  using A = acc_t<T>;
  const auto greatest = reduce<A>(ops::Largest{}, ops::Identity{}, shapes, x);
  if (log) {
    auto log_sum = reduce<A>(ops::Total{}, ops::ExpDistance{}, shapes, x, greatest);
    map_in_place(ops::LogPlus{}, log_sum, greatest);
    return mapped<T>(ops::Subtract{}, x.shape(), x, log_sum);
  }
  const auto powers = mapped<A>(ops::ExpDistance{}, x.shape(), x, greatest);
  const auto sum = reduce<A>(ops::Total{}, ops::Identity{}, shapes, powers);
  return mapped<T>(ops::Divide{}, x.shape(), powers, sum);
}
template <FloatingPoint T, class B>
void add_composed_gradient(const Tensor<T, B>& dy, const Tensor<T, B>& y, const Reduced& shapes, bool log,
                           const Sink<T, B>& dx) {
  using A = acc_t<T>;
  if (log) {
    const auto sum = reduce<A>(ops::Total{}, ops::Identity{}, shapes, dy);
    accumulate_formula(dx, dy.shape(), ops::LogSoftmaxGradient{}, dy, y, sum);
  } else {
    const auto sum = reduce<A>(ops::Total{}, ops::Multiply{}, shapes, dy, y);
    accumulate_formula(dx, dy.shape(), ops::SoftmaxGradient{}, dy, y, sum);
  }
}

/// Softmax, or its logarithm.
template <FloatingPoint T, class B>
Tensor<T, B> softmax(std::string_view op, const Tensor<T, B>& x, int axis, bool log) {
  using K = kernel_for<ops::Softmax, B>;
  const Reduced shapes(op, x.shape(), axis, true);
  shapes.check_more_than(0, op, x.shape());
  constexpr std::int64_t shortest_row = 32;  // those of fewer numbers would not fill registers
  const bool in_rows = axis_of(op, x.shape(), axis) == x.rank() - 1 && shapes.count >= shortest_row;
  Tensor<T, B> y;
  if (in_rows) {
    y = Tensor<T, B>::empty(x.shape());
    K::forward(x.rows(), log, y.mutable_rows());
  } else {
    y = composed_softmax(x, shapes, log);
  }
  return record(op, y, inputs(unread(x)), [=, dx = sink(x), values = y.detach()](const Tensor<T, B>& dy) {
    if (in_rows) {
      K::backward(dy.rows(), values.rows(), log, dx.rows());
    } else {
      add_composed_gradient(dy, values, shapes, log, dx);
    }
  });
}

}  // namespace detail

/// y = e^x / (sum of e^x along a dimension), for x of any size. Throws ShapeError if there is no such
/// dimension, or nothing along it.
template <FloatingPoint T, class B>
Tensor<T, B> softmax(const Tensor<T, B>& x, int axis) {
  return detail::softmax("softmax", x, axis, false);
}

/// y = x - log(sum of e^x along a dimension). Throws ShapeError if there is no such dimension, or nothing
/// along it.
template <FloatingPoint T, class B>
Tensor<T, B> log_softmax(const Tensor<T, B>& x, int axis) {
  return detail::softmax("log_softmax", x, axis, true);
}

CRIA_REFUSE_INTEGERS(softmax)
CRIA_REFUSE_INTEGERS(log_softmax)

}  // namespace cria
