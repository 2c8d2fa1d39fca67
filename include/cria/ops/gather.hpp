#pragma once
/// Elements that indices name, which are counted from 0. What an index names twice has the sum of both
/// gradients.

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "cria/backend/cpu/gather.hpp"
#include "cria/core/axes.hpp"
#include "cria/core/check.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/create.hpp"
#include "cria/ops/elementwise.hpp"
#include "cria/ops/reshape.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/gather.cuh"
#endif

namespace cria {

namespace ops {
CRIA_FORMULA(IsIndex, (auto index, auto number), index == number)
}  // namespace ops

namespace detail {

/// A tensor as [outer, dimension, inner].
template <class T>
Planes<T> planes_along(T* data, const Shape& shape, int axis) {
  return {data, shape.product(0, axis), shape.dim(axis), shape.product(axis + 1, shape.rank())};
}

/// The elements of x along `axis` that the index names, which has `strides` in [outer, m, inner].
template <class T, class B>
Tensor<T, B> gather_by(const char* op, const Tensor<T, B>& x, int axis, const Tensor<std::int32_t, B>& index,
                       const IndexView& strides, const Shape& result) {
  using K = kernel_for<ops::Gather, B>;
  const auto view = [strides, op](const Tensor<std::int32_t, B>& from) {
    IndexView with_data = strides;
    with_data.op = op;
    with_data.all = from.vec();
    return with_data;
  };
  auto y = Tensor<T, B>::empty(result);
  K::forward(planes_along(x.vec().data, x.shape(), axis), view(index),
             planes_along(y.mutable_vec().data, result, axis));
  if constexpr (FloatingPoint<T>) {
    return record(op, y, inputs(unread(x), index),
                  [axis, index, view, shape = x.shape(), to = sink(x)](const Tensor<T, B>& dy) {
                    const auto dx = to.vec();
                    K::backward(planes_along(dy.vec().data, dy.shape(), axis), view(index),
                                Gradient<Planes<T>>{planes_along(dx.data, shape, axis), dx.fresh});
                  });
  } else {
    return y;
  }
}

/// `gather`, for the operation that is called `op`.
template <class T, class B>
Tensor<T, B> gather_for(const char* op, const Tensor<T, B>& x, int axis,
                        const Tensor<std::int32_t, B>& index) {
  const int along = axis_of(op, x.shape(), axis);
  if (index.rank() != x.rank() || index.shape().with_dim(along, 0) != x.shape().with_dim(along, 0)) {
    throw ShapeError(std::string(op) + ": x is " + to_string(x.shape()) + " and index is " +
                     to_string(index.shape()) + "; all dimensions but " + std::to_string(axis) +
                     " must be equal");
  }
  const std::int64_t inner = x.shape().product(along + 1, x.rank());
  return gather_by(op, x, along, index, {{}, index.dim(along) * inner, inner, 1}, index.shape());
}

}  // namespace detail

/// y[..., j, ...] = x[..., index[..., j, ...], ...] along a dimension: index has the shape of the result,
/// which differs from x's in that dimension alone. Throws ShapeError if it differs elsewhere, or an index is
/// not in [0, x.dim(axis)).
template <class T, class B>
Tensor<T, B> gather(const Tensor<T, B>& x, int axis, const Tensor<std::int32_t, B>& index) {
  return detail::gather_for("gather", x, axis, index);
}

/// The elements with these indices along a dimension, in their order: index [m], x [..., n, ...] -> [..., m,
/// ...]. Throws ShapeError if an index is not in [0, n).
template <class T, class B>
Tensor<T, B> index_select(const Tensor<T, B>& x, int axis, const Tensor<std::int32_t, B>& index) {
  const int along = detail::axis_of("index_select", x.shape(), axis);
  check::rank("index_select", {"index", index.shape()}, 1);
  return detail::gather_by("index_select", x, along, index, {{}, 0, 1, 0},
                           x.shape().with_dim(along, index.size()));
}

/// x with source[..., j, ...] added to x[..., index[..., j, ...], ...] along a dimension; what several are
/// added to has the sum of all. index and source have one shape, which differs from x's in that dimension
/// alone. Throws ShapeError if they do not fit, or an index is not in [0, x.dim(axis)).
template <FloatingPoint T, class B>
Tensor<T, B> scatter_add(const Tensor<T, B>& x, int axis, const Tensor<std::int32_t, B>& index,
                         const Tensor<T, B>& source) {
  using K = kernel_for<ops::Gather, B>;
  const int along = detail::axis_of("scatter_add", x.shape(), axis);
  check::same_shape("scatter_add", {"index", index.shape()}, {"source", source.shape()});
  detail::gather_for("scatter_add", x.detach(), axis, index);  // which checks the index
  const std::int64_t inner = x.shape().product(along + 1, x.rank());
  const auto view = [=](const Tensor<std::int32_t, B>& from) {
    return IndexView{from.vec(), from.dim(along) * inner, inner, 1};
  };
  auto y = x.template to<B>();
  K::backward(detail::planes_along(source.vec().data, source.shape(), along), view(index),
              Gradient<Planes<T>>{detail::planes_along(y.mutable_vec().data, x.shape(), along), false});
  return record("scatter_add", y, inputs(unread(x), unread(source), index),
                [=, to_x = sink(x), to_source = sink(source)](const Tensor<T, B>& dy) {
                  if (to_source) accumulate(to_source, gather(dy, along, index));
                  accumulate(to_x, dy);
                });
}

/// 1 at the place of each index, 0 elsewhere: index [...] -> [..., classes]. An index that is no class has
/// zeros alone. Throws ConfigError for a negative number of classes.
template <class T = float, class B>
Tensor<T, B> one_hot(const Tensor<std::int32_t, B>& index, std::int64_t classes) {
  check::option(classes >= 0 && classes <= std::numeric_limits<std::int32_t>::max(), "one_hot", "classes",
                classes, "it must be in [0, 2^31)");
  const auto places = unsqueeze(index, -1), numbers = arange<std::int32_t, B>(classes);
  const std::array shapes{places.shape(), numbers.shape()};
  auto y = Tensor<T, B>::empty(broadcast_shape("one_hot", shapes));
  kernel_for<ops::Map, B>::forward(ops::IsIndex{}, broadcast(y.shape(), shapes), y.mutable_vec(),
                                   places.vec(), numbers.vec());
  return y;
}

CRIA_REFUSE_INDICES(gather, const Tensor<T, B>&, int)
CRIA_REFUSE_INDICES(index_select, const Tensor<T, B>&, int)
CRIA_REFUSE_INDICES(scatter_add, const Tensor<T, B>&, int)

}  // namespace cria
