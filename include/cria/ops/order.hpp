#pragma once
/// Operations in which elements along a dimension have an order: running sums, sorting, the greatest few.

#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "cria/backend/cpu/order.hpp"
#include "cria/core/axes.hpp"
#include "cria/core/check.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/cast.hpp"
#include "cria/ops/gather.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/order.cuh"
#endif

namespace cria {

/// y[..., j, ...] = the sum of x[..., 0, ...] to x[..., j, ...] along a dimension. Throws ShapeError if there
/// is no such dimension.
template <FloatingPoint T, class B>
Tensor<T, B> cumsum(const Tensor<T, B>& x, int axis) {
  using K = kernel_for<ops::CumulativeTotal, B>;
  const int along = detail::axis_of("cumsum", x.shape(), axis);
  auto y = Tensor<T, B>::empty(x.shape());
  K::forward(detail::planes_along(x.vec().data, x.shape(), along),
             detail::planes_along(y.mutable_vec().data, x.shape(), along));
  return record("cumsum", y, inputs(unread(x)), [along, to = sink(x)](const Tensor<T, B>& dy) {
    const auto dx = to.vec();
    K::backward(detail::planes_along(dy.vec().data, dy.shape(), along),
                Gradient<Planes<T>>{detail::planes_along(dx.data, dy.shape(), along), dx.fresh});
  });
}

/// The same of integers, or of how many were true: exact up to 2^53.
template <std::integral T, class B>
Tensor<std::int64_t, B> cumsum(const Tensor<T, B>& x, int axis) {
  return cast<std::int64_t>(cumsum(cast<double>(x), axis));
}

/// Elements in order, and where they were along the last dimension.
template <class T, class B>
struct Sorted {
  Tensor<T, B> values;
  Tensor<std::int32_t, B> indices;
};

namespace detail {
template <class T, class B>
Sorted<T, B> first_in_order(const char* op, const Tensor<T, B>& x, std::int64_t count, bool descending) {
  check::rank_at_least(op, {"x", x.shape()}, 1);
  if (count < 0 || count > x.dim(-1) || x.dim(-1) > std::numeric_limits<std::int32_t>::max()) {
    throw ShapeError(std::string(op) + ": x is " + to_string(x.shape()) + " and count is " +
                     std::to_string(count) + "; it must be in [0, " + std::to_string(x.dim(-1)) + "]");
  }
  auto indices = Tensor<std::int32_t, B>::empty(x.shape().with_dim(-1, count));
  kernel_for<ops::Order, B>::forward(x.rows(), descending, indices.mutable_rows());
  return {gather(x, -1, indices), indices};
}
}  // namespace detail

struct SortOptions {
  bool descending = false;
};
struct TopkOptions {
  bool largest = true;
};

/// The elements of each row, the last dimension, in ascending order; equal ones keep theirs, and NaN is the
/// greatest. Gradients go to where the elements were.
template <class T, class B>
Sorted<T, B> sort(const Tensor<T, B>& x, SortOptions options = {}) {
  return detail::first_in_order("sort", x, x.rank() > 0 ? x.dim(-1) : 0, options.descending);
}

/// The greatest `count` elements of each row, in descending order, or the smallest in ascending order. Throws
/// ShapeError if a row has not so many.
template <class T, class B>
Sorted<T, B> topk(const Tensor<T, B>& x, std::int64_t count, TopkOptions options = {}) {
  return detail::first_in_order("topk", x, count, options.largest);
}

}  // namespace cria
