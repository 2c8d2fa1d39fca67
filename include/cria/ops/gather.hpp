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

/// x with source[..., j, ...] in the place of x[..., index[..., j, ...], ...] along a dimension: scatter_add
/// to zeros there, so that what several take the place of has the sum of all. Throws what scatter_add does.
template <FloatingPoint T, class B>
Tensor<T, B> scatter(const Tensor<T, B>& x, int axis, const Tensor<std::int32_t, B>& index,
                     const Tensor<T, B>& source) {
  const auto named = scatter_add(zeros<float, B>(x.shape()), axis, index, ones<float, B>(index.shape()));
  return scatter_add(masked_fill(x, named > 0, 0), axis, index, source);
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

/// The indices of the elements that are not 0, or are true, in row-major order: x [...] -> [count, x.rank()].
/// The host counts them, so it waits for the device. Throws ShapeError for a dimension of 2^31 or more.
template <class T, class B>
Tensor<std::int32_t, B> nonzero(const Tensor<T, B>& x) {
  for (const std::int64_t dim : x.shape()) {
    if (dim > std::numeric_limits<std::int32_t>::max())
      throw ShapeError("nonzero: x is " + to_string(x.shape()) + "; dimensions must be below 2^31");
  }
  const std::vector<T> values = x.to_vector();
  std::vector<std::int32_t> found;
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < x.size(); ++i) {
    if (static_cast<acc_t<T>>(values[static_cast<std::size_t>(i)]) == acc_t<T>(0)) continue;
    ++count;
    for (int axis = 0; axis < x.rank(); ++axis) {
      found.push_back(static_cast<std::int32_t>(i / x.shape().product(axis + 1, x.rank()) % x.dim(axis)));
    }
  }
  return Tensor<std::int32_t, B>::from({count, x.rank()}, found);
}

CRIA_REFUSE_INDICES(gather, const Tensor<T, B>&, int)
CRIA_REFUSE_INDICES(index_select, const Tensor<T, B>&, int)
CRIA_REFUSE_INDICES(scatter_add, const Tensor<T, B>&, int)
CRIA_REFUSE_INDICES(scatter, const Tensor<T, B>&, int)

}  // namespace cria
