#pragma once
/// Reductions: what all elements along some dimensions make together. A new one is a functor of
/// core/reductions.hpp, a formula for what is put together, and one for the gradient.
///
/// `axes` is a dimension or several, {0, 2}, negative ones counting from the last; without it all are meant.
/// The dimensions disappear from the shape, or stay as 1 with {.keepdim = true}. Every function throws
/// ShapeError for a dimension that does not exist or is named twice.

#include <array>
#include <concepts>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "cria/backend/cpu/reduce.hpp"
#include "cria/core/axes.hpp"
#include "cria/core/check.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/create.hpp"
#include "cria/ops/elementwise.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/reduce.cuh"
#endif

namespace cria {

struct ReduceOptions {
  bool keepdim = false;
};
struct VarianceOptions {
  bool keepdim = false;
  /// What is taken from the number of elements that the squares are divided by: 1 for an estimate from a
  /// sample, 0 for the elements' own variance.
  int correction = 1;
};

namespace ops {
/// factor * x
template <class A>
struct Scale {
  A factor;
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(auto x) const { return factor * x; }
};
/// factor * (x - mean)^2
template <class A>
struct SquaredDistance {
  A factor;
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(auto x, auto mean) const { return factor * square(x - mean); }
};
/// The gradients, y's being dy.
template <class A>
struct VarianceGradient {
  A factor;
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(auto dy, auto x, auto mean) const {
    return factor * dy * (x - mean);
  }
};
template <class A>
struct DeviationGradient {
  A factor;
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(auto dy, auto x, auto mean, auto y) const {
    return where(y == 0, 0, factor * dy * (x - mean) / y);
  }
};
CRIA_FORMULA(NormGradient, (auto dy, auto x, auto y), where(y == 0, 0, dy* x / y))
/// To those that are as great as the greatest, in equal shares.
CRIA_FORMULA(ShareOfEqual, (auto dy, auto x, auto y, auto count), where(x == y, dy, 0) / count)
/// Where one factor is 0, the others' product; where two are, nothing.
CRIA_FORMULA(ProductGradient, (auto dy, auto x, auto of_others, auto zeros),
             where(x == 0, where(zeros == 1, dy* of_others, 0), where(zeros == 0, dy* of_others / x, 0)))
CRIA_FORMULA(IsZero, (auto x), x == 0)
CRIA_FORMULA(IsNotZero, (auto x), x != 0)
CRIA_FORMULA(OneForZero, (auto x), where(x == 0, 1, x))
/// e^(x - shift), the shift being a maximum or a logarithm that may be infinite.
CRIA_FORMULA(ExpDistance, (auto x, auto shift), exp(x - where(shift - shift == 0, shift, 0)))
CRIA_FORMULA(LogPlus, (auto sum, auto shift), log(sum) + where(shift - shift == 0, shift, 0))
CRIA_FORMULA(LogSumExpGradient, (auto dy, auto x, auto y), dy* exp(x - where(y - y == 0, y, 0)))
/// The index of an element that is the greatest, or NaN.
template <class Index>
struct IndexOf {
  Index none;
  CRIA_HOST_DEVICE CRIA_INLINE Index operator()(auto x, auto best, Index index) const {
    return x == best || x != x ? index : none;
  }
};
}  // namespace ops

namespace detail {

/// The shapes of a reduction of x.
struct Reduced {
  Shape kept;          // x's, the dimensions being 1
  Shape result;        // the result's
  std::int64_t count;  // elements of x for each of the result

  Reduced(std::string_view op, const Shape& x, const Axes& axes, bool keepdim) : kept(x), count(1) {
    const auto gone = axes.of(op, x);
    std::array<std::int64_t, Shape::max_rank> left;
    std::size_t rank = 0;
    for (int axis = 0; axis < x.rank(); ++axis) {
      if (gone[static_cast<std::size_t>(axis)]) {
        count *= x.dim(axis);
        kept = kept.with_dim(axis, 1);
      } else {
        left[rank++] = x.dim(axis);
      }
    }
    result = keepdim ? kept : Shape(std::span(left.data(), rank));
  }
  /// The same, the dimensions being kept.
  Reduced keeping() const {
    Reduced all = *this;
    all.result = kept;
    return all;
  }
  /// Throws ShapeError unless there are more than `least` elements for each of the result.
  void check_more_than(std::int64_t least, std::string_view op, const Shape& x) const {
    if (count > least || result.size() == 0) return;
    throw ShapeError(
        std::string(op) + ": x is " + to_string(x) + "; " +
        (least == 0 ? "at least one element is needed"
                    : "more than " + std::to_string(least) + " elements are needed for each of the result"));
  }
};

/// What R makes of f(x...), outside the graph.
template <class Y, class R, class F, class B, class... X>
Tensor<Y, B> reduce(R together, F f, const Reduced& shapes, const Tensor<X, B>&... x) {
  const std::array all{shapes.kept, x.shape()...};
  auto y = Tensor<Y, B>::empty(shapes.result);
  kernel_for<ops::Reduce, B>::forward(together, f, broadcast(broadcast_shape("reduce", all), all),
                                      y.mutable_vec(), x.vec()...);
  return y;
}

/// Adds the sums of dy over `axes`, along which a bias was repeated, to the bias's gradient.
template <class S, FloatingPoint T, class B>
void add_bias_gradient(std::string_view op, const Sink<S, B>& d_bias, const Tensor<T, B>& dy,
                       const Axes& axes) {
  if (!d_bias) return;
  const Reduced shapes(op, dy.shape(), axes, false);
  accumulate(d_bias, reduce<acc_t<T>>(ops::Total{}, ops::Identity{}, shapes, dy));
}

/// y = f(y, x...), outside the graph
template <class F, class T, class B, class... X>
void map_in_place(F f, Tensor<T, B>& y, const Tensor<X, B>&... x) {
  const Vec<T> all = y.mutable_vec();
  kernel_for<ops::Map, B>::forward(f, broadcast(y.shape(), std::array{y.shape(), x.shape()...}), all,
                                   Vec<const T>(all), x.vec()...);
}

/// Adds f(x...) to a gradient of this shape.
template <class F, class T, class B, class... X>
void accumulate_formula(const Sink<T, B>& to, const Shape& shape, F f, const Tensor<X, B>&... x) {
  auto gradient = Tensor<T, B>::empty(shape);
  kernel_for<ops::Map, B>::forward(f, broadcast(shape, std::array{x.shape()...}), gradient.mutable_vec(),
                                   x.vec()...);
  accumulate(to, gradient);
}

/// The greatest or the smallest.
template <class R, class T, class B>
Tensor<T, B> extreme(std::string_view op, R together, const Tensor<T, B>& x, const Reduced& shapes) {
  shapes.check_more_than(0, op, x.shape());
  const auto y = reduce<T>(together, ops::Identity{}, shapes, x);
  if constexpr (FloatingPoint<T>) {
    return record(op, y, inputs(x), [=, values = y.detach()](const Tensor<T, B>& dy) {
      const auto kept = share_values(values, shapes.kept);
      const auto count = reduce<acc_t<T>>(ops::Total{}, ops::Equal{}, shapes.keeping(), x, kept);
      accumulate_formula(sink(x), x.shape(), ops::ShareOfEqual{}, share_values(dy, shapes.kept), x, kept,
                         count);
    });
  } else {
    return y;
  }
}

/// The indices along one dimension of the greatest or smallest.
template <class R, class T, class B>
Tensor<std::int32_t, B> index_of_extreme(std::string_view op, R together, const Tensor<T, B>& x, int axis,
                                         bool keepdim) {
  using Index = std::int32_t;
  constexpr Index none = std::numeric_limits<Index>::max();
  const Reduced shapes(op, x.shape(), axis, keepdim);
  shapes.check_more_than(0, op, x.shape());
  if (shapes.count > none) {
    throw ShapeError(std::string(op) + ": x is " + to_string(x.shape()) + "; a dimension may have up to " +
                     std::to_string(none) + " elements here");
  }
  std::array<std::int64_t, Shape::max_rank> along;
  along.fill(1);
  along[static_cast<std::size_t>(axis_of(op, x.shape(), axis))] = shapes.count;
  const auto indices = share_values(arange<Index, B>(shapes.count),
                                    Shape(std::span(along.data(), static_cast<std::size_t>(x.rank()))));
  const auto best = reduce<T>(together, ops::Identity{}, shapes.keeping(), x);
  return reduce<Index>(ops::Smallest{}, ops::IndexOf<Index>{none}, shapes, x, best, indices);
}

/// The variance, or its square root, whose gradient is `gradient(factor)` of what `give` takes.
template <bool Root, FloatingPoint T, class B>
Tensor<acc_t<T>, B> variance(std::string_view op, const Tensor<T, B>& x, const Axes& axes,
                             VarianceOptions options) {
  using A = acc_t<T>;
  check::option(options.correction >= 0, op, "correction", options.correction, "it must be 0 or more");
  const Reduced shapes(op, x.shape(), axes, options.keepdim);
  shapes.check_more_than(options.correction, op, x.shape());
  auto mean = reduce<A>(ops::Total{}, ops::Identity{}, shapes.keeping(), x);
  map_in_place(ops::Scale<A>{A(1) / static_cast<A>(shapes.count)}, mean);
  const A factor = A(1) / static_cast<A>(shapes.count - options.correction);
  auto y = reduce<A>(ops::Total{}, ops::SquaredDistance<A>{factor}, shapes, x, mean);
  if constexpr (Root) map_in_place(ops::Sqrt{}, y);
  return record(op, y, inputs(x), [=, values = y.detach()](const Tensor<A, B>& d_result) {
    const auto dy = share_values(d_result, shapes.kept);
    if constexpr (Root) {
      accumulate_formula(sink(x), x.shape(), ops::DeviationGradient<A>{factor}, dy, x, mean,
                         share_values(values, shapes.kept));
    } else {
      accumulate_formula(sink(x), x.shape(), ops::VarianceGradient<A>{2 * factor}, dy, x, mean);
    }
  });
}

}  // namespace detail

/// The sum, in acc_t<T>.
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> sum(const Tensor<T, B>& x, const Axes& axes = Axes::all(), ReduceOptions options = {}) {
  const detail::Reduced shapes("sum", x.shape(), axes, options.keepdim);
  const auto y = detail::reduce<acc_t<T>>(ops::Total{}, ops::Identity{}, shapes, x);
  return record("sum", y, inputs(unread(x)),
                [to = sink(x), shape = x.shape(), kept = shapes.kept](const Tensor<acc_t<T>, B>& dy) {
                  detail::accumulate_formula(to, shape, ops::Identity{}, detail::share_values(dy, kept));
                });
}
/// The sum of integers; how many are true.
template <std::integral T, class B>
Tensor<std::int64_t, B> sum(const Tensor<T, B>& x, const Axes& axes = Axes::all(),
                            ReduceOptions options = {}) {
  const detail::Reduced shapes("sum", x.shape(), axes, options.keepdim);
  return detail::reduce<std::int64_t>(ops::Total{}, ops::Identity{}, shapes, x);
}

/// The mean, in acc_t<T>. Throws ShapeError where there is none, of no elements.
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> mean(const Tensor<T, B>& x, const Axes& axes = Axes::all(), ReduceOptions options = {}) {
  using A = acc_t<T>;
  const detail::Reduced shapes("mean", x.shape(), axes, options.keepdim);
  shapes.check_more_than(0, "mean", x.shape());
  const ops::Scale<A> scale{A(1) / static_cast<A>(shapes.count)};
  auto y = detail::reduce<A>(ops::Total{}, ops::Identity{}, shapes, x);
  detail::map_in_place(scale, y);
  return record("mean", y, inputs(unread(x)),
                [to = sink(x), shape = x.shape(), kept = shapes.kept, scale](const Tensor<A, B>& dy) {
                  auto of_each = Tensor<A, B>::empty(kept);
                  kernel_for<ops::Map, B>::forward(scale, broadcast(kept, std::array{kept}),
                                                   of_each.mutable_vec(), dy.vec());
                  detail::accumulate_formula(to, shape, ops::Identity{}, of_each);
                });
}

/// The product, in acc_t<T>; 1 of no elements.
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> prod(const Tensor<T, B>& x, const Axes& axes = Axes::all(), ReduceOptions options = {}) {
  using A = acc_t<T>;
  const detail::Reduced shapes("prod", x.shape(), axes, options.keepdim);
  const auto y = detail::reduce<A>(ops::Product{}, ops::Identity{}, shapes, x);
  return record("prod", y, inputs(x), [=](const Tensor<A, B>& dy) {
    const auto of_others = detail::reduce<A>(ops::Product{}, ops::OneForZero{}, shapes.keeping(), x);
    const auto zeros = detail::reduce<A>(ops::Total{}, ops::IsZero{}, shapes.keeping(), x);
    detail::accumulate_formula(sink(x), x.shape(), ops::ProductGradient{},
                               detail::share_values(dy, shapes.kept), x, of_others, zeros);
  });
}

/// The greatest, the smallest element; NaN if one is. Equal ones share the gradient. Throws ShapeError where
/// there is none, of no elements.
template <Number T, class B>
Tensor<T, B> max(const Tensor<T, B>& x, const Axes& axes = Axes::all(), ReduceOptions options = {}) {
  return detail::extreme("max", ops::Largest{}, x, detail::Reduced("max", x.shape(), axes, options.keepdim));
}
template <Number T, class B>
Tensor<T, B> min(const Tensor<T, B>& x, const Axes& axes = Axes::all(), ReduceOptions options = {}) {
  return detail::extreme("min", ops::Smallest{}, x, detail::Reduced("min", x.shape(), axes, options.keepdim));
}

/// The index along a dimension of the greatest, the smallest element: of the first of several, and of the
/// first NaN if there is one. Throws ShapeError where there is none, of no elements.
template <class T, class B>
Tensor<std::int32_t, B> argmax(const Tensor<T, B>& x, int axis, ReduceOptions options = {}) {
  return detail::index_of_extreme("argmax", ops::Largest{}, x, axis, options.keepdim);
}
template <class T, class B>
Tensor<std::int32_t, B> argmin(const Tensor<T, B>& x, int axis, ReduceOptions options = {}) {
  return detail::index_of_extreme("argmin", ops::Smallest{}, x, axis, options.keepdim);
}
/// Its index among all elements, in row-major order.
template <class T, class B>
Tensor<std::int32_t, B> argmax(const Tensor<T, B>& x) {
  return detail::share_values(argmax(detail::share_values(x, Shape{x.size()}), 0), Shape{});
}
template <class T, class B>
Tensor<std::int32_t, B> argmin(const Tensor<T, B>& x) {
  return detail::share_values(argmin(detail::share_values(x, Shape{x.size()}), 0), Shape{});
}

/// The variance, sum of (x - mean)^2 / (n - correction), in acc_t<T>. Throws ShapeError unless n is greater
/// than the correction.
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> variance(const Tensor<T, B>& x, const Axes& axes = Axes::all(),
                             VarianceOptions options = {}) {
  return detail::variance<false>("variance", x, axes, options);
}
/// Its square root. Where that is 0, so is its gradient.
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> standard_deviation(const Tensor<T, B>& x, const Axes& axes = Axes::all(),
                                       VarianceOptions options = {}) {
  return detail::variance<true>("standard_deviation", x, axes, options);
}

/// The Euclidean norm, the square root of the sum of squares, in acc_t<T>. Where that is 0, so is its
/// gradient.
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> norm(const Tensor<T, B>& x, const Axes& axes = Axes::all(), ReduceOptions options = {}) {
  using A = acc_t<T>;
  const detail::Reduced shapes("norm", x.shape(), axes, options.keepdim);
  auto y = detail::reduce<A>(ops::Total{}, ops::Square{}, shapes, x);
  detail::map_in_place(ops::Sqrt{}, y);
  return record("norm", y, inputs(x), [=, values = y.detach()](const Tensor<A, B>& dy) {
    detail::accumulate_formula(sink(x), x.shape(), ops::NormGradient{}, detail::share_values(dy, shapes.kept),
                               x, detail::share_values(values, shapes.kept));
  });
}

/// log(sum of e^x), in acc_t<T>, for x of any size. Throws ShapeError where there are no elements.
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> logsumexp(const Tensor<T, B>& x, const Axes& axes = Axes::all(),
                              ReduceOptions options = {}) {
  using A = acc_t<T>;
  const detail::Reduced shapes("logsumexp", x.shape(), axes, options.keepdim);
  shapes.check_more_than(0, "logsumexp", x.shape());
  const auto greatest = detail::reduce<A>(ops::Largest{}, ops::Identity{}, shapes.keeping(), x);
  auto y = detail::reduce<A>(ops::Total{}, ops::ExpDistance{}, shapes, x, greatest);
  detail::map_in_place(ops::LogPlus{}, y, detail::share_values(greatest, shapes.result));
  return record("logsumexp", y, inputs(x), [=, values = y.detach()](const Tensor<A, B>& dy) {
    detail::accumulate_formula(sink(x), x.shape(), ops::LogSumExpGradient{},
                               detail::share_values(dy, shapes.kept), x,
                               detail::share_values(values, shapes.kept));
  });
}

/// Whether one, whether each element is true.
template <class B>
Tensor<bool, B> any(const Tensor<bool, B>& x, const Axes& axes = Axes::all(), ReduceOptions options = {}) {
  const detail::Reduced shapes("any", x.shape(), axes, options.keepdim);
  return detail::reduce<bool>(ops::Largest{}, ops::Identity{}, shapes, x);
}
template <class B>
Tensor<bool, B> all(const Tensor<bool, B>& x, const Axes& axes = Axes::all(), ReduceOptions options = {}) {
  const detail::Reduced shapes("all", x.shape(), axes, options.keepdim);
  return detail::reduce<bool>(ops::Smallest{}, ops::Identity{}, shapes, x);
}
/// How many elements are not 0, or are true.
template <class T, class B>
Tensor<std::int64_t, B> count(const Tensor<T, B>& x, const Axes& axes = Axes::all(),
                              ReduceOptions options = {}) {
  const detail::Reduced shapes("count", x.shape(), axes, options.keepdim);
  return detail::reduce<std::int64_t>(ops::Total{}, ops::IsNotZero{}, shapes, x);
}

CRIA_REFUSE_INTEGERS_IN(mean, ReduceOptions)
CRIA_REFUSE_INTEGERS_IN(prod, ReduceOptions)
CRIA_REFUSE_INTEGERS_IN(variance, VarianceOptions)
CRIA_REFUSE_INTEGERS_IN(standard_deviation, VarianceOptions)
CRIA_REFUSE_INTEGERS_IN(norm, ReduceOptions)
CRIA_REFUSE_INTEGERS_IN(logsumexp, ReduceOptions)

}  // namespace cria
