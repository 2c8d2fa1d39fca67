#pragma once
/// Operations that move elements and compute nothing, for tensors of every type. A new one is a line that
/// says which blocks of an input go where (core/rearrangement.hpp); the gradient goes the same way back.
///
/// Dimensions and indices may be negative: they then count from the last. Every function throws ShapeError
/// for a dimension that does not exist.

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cria/backend/cpu/rearrange.hpp"
#include "cria/core/axes.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/rearrangement.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/create.hpp"
#include "cria/ops/expand.hpp"
#include "cria/ops/map.hpp"
#include "cria/ops/reshape.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/rearrange.cuh"
#endif

namespace cria {

namespace ops {
/// x where the column is at most `diagonal` to the right of the row, or where it is not.
struct Triangle {
  std::int64_t diagonal;
  bool is_lower;
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(auto x, std::int32_t row, std::int32_t column) const {
    return where((column - row <= diagonal) == is_lower, x, 0);
  }
};
}  // namespace ops

namespace detail {

/// Which elements of x go where in a result.
struct Rearrangement {
  Shape result;
  std::vector<StridedCopy> pieces;
  bool fills_result = true;  // whether the pieces fill the result, and there is nothing else in it
  bool uses_all = true;      // whether each element of x is in a piece, and in one only
};

template <class T, class B>
void copy_piece(const StridedCopy& piece, const T* from, T* to) {
  kernel_for<ops::Rearrange, B>::template copy<static_cast<int>(sizeof(T))>(piece, from, to);
}

/// Adds the gradient of the result of a rearrangement.
template <FloatingPoint T, class B>
void add_pieces(const Sink<T, B>& to, const std::vector<StridedCopy>& pieces, bool uses_all,
                Vec<const T> dy) {
  const Gradient<Vec<T>> dx = to.vec();
  if (!dx) return;
  if (dx.fresh && !uses_all) B::fill_zero(dx.data, static_cast<std::size_t>(dx.size) * sizeof(T));
  for (const StridedCopy& piece : pieces) {
    if (dx.fresh && uses_all) {
      copy_piece<T, B>(piece.reversed(), dy.data, dx.data);
    } else {
      kernel_for<ops::Rearrange, B>::add(piece.reversed(), dy.data, dx.data);
    }
  }
}

template <class T, class B>
Tensor<T, B> rearrange(std::string_view op, const Tensor<T, B>& x, Rearrangement way, T filling = T()) {
  auto y = Tensor<T, B>::empty(way.result);
  const Vec<T> to = y.mutable_vec();
  if (!way.fills_result) B::fill(to.data, to.size, filling);
  for (const StridedCopy& piece : way.pieces) copy_piece<T, B>(piece, x.vec().data, to.data);
  if constexpr (FloatingPoint<T>) {
    return record(op, y, inputs(unread(x)), [way = std::move(way), dx = sink(x)](const Tensor<T, B>& dy) {
      add_pieces(dx, way.pieces, way.uses_all, dy.vec());
    });
  } else {
    return y;
  }
}

/// The block of `result`, from `to_first` on, that x's elements go to whose indices are first, first + step,
/// ... along one dimension: `count` of them, and all along the others.
inline StridedCopy block(const Shape& x, int axis, std::int64_t first, std::int64_t step, std::int64_t count,
                         const Shape& result, std::int64_t to_first = 0) {
  const auto from = strides_of(x), to = strides_of(result);
  const auto at = static_cast<std::size_t>(axis);
  StridedCopy copy;
  for (int i = 0; i < x.rank(); ++i) {
    const auto k = static_cast<std::size_t>(i);
    copy.add(i == axis ? count : x.dim(i), i == axis ? step * from[k] : from[k], to[k]);
  }
  copy.from_first = first * from[at];
  copy.to_first = to_first * to[at];
  return copy;
}

}  // namespace detail

/// The dimensions in another order: dimension i of the result is x's dimension axes[i]. Copies. Throws
/// ShapeError unless every dimension is named once.
template <class T, class B>
Tensor<T, B> permute(const Tensor<T, B>& x, const std::vector<int>& axes) {
  const Shape& shape = x.shape();
  std::array<bool, Shape::max_rank> named{};
  bool is_order = static_cast<int>(axes.size()) == shape.rank();
  std::vector<int> order;
  for (const int axis : axes) {
    order.push_back(detail::axis_of("permute", shape, axis));
    is_order = is_order && !std::exchange(named[static_cast<std::size_t>(order.back())], true);
  }
  if (!is_order) {
    std::string text;
    for (const int axis : axes) text += (text.empty() ? "" : ", ") + std::to_string(axis);
    throw ShapeError("permute: x is " + to_string(shape) + " and axes are {" + text +
                     "}; each dimension must be named once");
  }
  std::array<std::int64_t, Shape::max_rank> dims;
  for (std::size_t i = 0; i < order.size(); ++i) dims[i] = shape.dim(order[i]);
  detail::Rearrangement way{Shape(std::span(dims.data(), order.size())), {StridedCopy{}}};
  const auto from = strides_of(shape), to = strides_of(way.result);
  for (std::size_t i = 0; i < order.size(); ++i) {
    way.pieces[0].add(dims[i], from[static_cast<std::size_t>(order[i])], to[i]);
  }
  return detail::rearrange("permute", x, std::move(way));
}

/// Swaps two dimensions, copying. x [..., p, ..., q, ...] -> [..., q, ..., p, ...]
template <class T, class B>
Tensor<T, B> transpose(const Tensor<T, B>& x, int axis_a, int axis_b) {
  std::vector<int> axes;
  for (int axis = 0; axis < x.rank(); ++axis) axes.push_back(axis);
  const int a = detail::axis_of("transpose", x.shape(), axis_a);
  const int b = detail::axis_of("transpose", x.shape(), axis_b);
  if (a == b) return x;
  std::swap(axes[static_cast<std::size_t>(a)], axes[static_cast<std::size_t>(b)]);
  return permute(x, axes);
}

/// The elements start, start + step, ... before `stop` along a dimension; bounds beyond its ends mean the
/// ends. Shares memory where it is a range of whole leading rows, and copies elsewhere. Throws ShapeError
/// unless step is at least 1 (flip turns the order round).
template <class T, class B>
Tensor<T, B> slice(const Tensor<T, B>& x, int axis, std::int64_t start, std::int64_t stop,
                   std::int64_t step = 1) {
  const Shape& shape = x.shape();
  const int along = detail::axis_of("slice", shape, axis);
  if (step < 1) {
    throw ShapeError("slice: step is " + std::to_string(step) +
                     "; it must be at least 1, and flip turns the order round");
  }
  const std::int64_t size = shape.dim(along);
  const auto inside = [size](std::int64_t i) {
    return std::clamp<std::int64_t>(i < 0 ? i + size : i, 0, size);
  };
  const std::int64_t first = inside(start), range = std::max<std::int64_t>(inside(stop) - first, 0);
  const std::int64_t count = range / step + (range % step > 0 ? 1 : 0);
  const Shape result = shape.with_dim(along, count);
  const bool is_whole = count == size;
  if (step == 1 && shape.product(0, along) == 1) {
    const std::int64_t offset = first * shape.product(along + 1, shape.rank());
    if (const auto y = detail::share_part(x, result, offset); y.defined()) {
      if constexpr (FloatingPoint<T>) {
        return record("slice", y, inputs(unread(x)), [dx = sink(x), offset](const Tensor<T, B>& dy) {
          const auto part = dx.part(offset, dy.size());
          kernel_for<ops::Accumulate, B>::add(dy.vec(), part);
        });
      } else {
        return y;
      }
    }
  }
  return detail::rearrange(
      "slice", x, {result, {detail::block(shape, along, first, step, count, result)}, true, is_whole});
}

/// The elements with index i along a dimension, which disappears. Throws ShapeError if there are none.
template <class T, class B>
Tensor<T, B> select(const Tensor<T, B>& x, int axis, std::int64_t i) {
  const int along = detail::axis_of("select", x.shape(), axis);
  const std::int64_t size = x.dim(along), index = i < 0 ? i + size : i;
  if (index < 0 || index >= size) {
    throw ShapeError("select: x is " + to_string(x.shape()) + "; index " + std::to_string(i) +
                     " along dimension " + std::to_string(axis) + " must be in [" + std::to_string(-size) +
                     ", " + std::to_string(size) + ")");
  }
  return squeeze(slice(x, along, index, index + 1), along);
}

/// Parts of these sizes along a dimension, one after the other. Throws ShapeError unless they add up to it.
template <class T, class B>
std::vector<Tensor<T, B>> split(const Tensor<T, B>& x, const std::vector<std::int64_t>& sizes, int axis) {
  const int along = detail::axis_of("split", x.shape(), axis);
  std::int64_t left = x.dim(along);
  std::string text;
  bool fits = true;
  for (const std::int64_t size : sizes) {
    fits = fits && size >= 0 && size <= left;
    if (fits) left -= size;
    text += (text.empty() ? "" : ", ") + std::to_string(size);
  }
  if (!fits || left > 0) {
    throw ShapeError("split: x is " + to_string(x.shape()) + " and sizes are {" + text +
                     "}; they must be 0 or more and add up to " + std::to_string(x.dim(along)));
  }
  std::vector<Tensor<T, B>> parts;
  std::int64_t first = 0;
  for (const std::int64_t size : sizes) {
    parts.push_back(slice(x, along, first, first + size));
    first += size;
  }
  return parts;
}

/// At most `count` parts along a dimension, of equal size but for the last. Throws ShapeError unless count is
/// at least 1.
template <class T, class B>
std::vector<Tensor<T, B>> chunk(const Tensor<T, B>& x, std::int64_t count, int axis) {
  const std::int64_t size = x.dim(detail::axis_of("chunk", x.shape(), axis));
  if (count < 1) throw ShapeError("chunk: count is " + std::to_string(count) + "; it must be at least 1");
  const std::int64_t each = std::max<std::int64_t>(size / count + (size % count > 0 ? 1 : 0), 1);
  std::vector<std::int64_t> sizes;
  for (std::int64_t left = size; left > 0; left -= each) sizes.push_back(std::min(each, left));
  return split(x, sizes, axis);
}

/// Tensors one after the other along a dimension; their other dimensions are the same. Throws ShapeError if
/// they are not, or if there is no tensor.
template <class T, class B>
Tensor<T, B> concat(const std::vector<Tensor<T, B>>& x, int axis) {
  if (x.empty()) throw ShapeError("concat: there are no tensors; at least one is needed");
  const int along = detail::axis_of("concat", x[0].shape(), axis);
  std::int64_t total = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Shape& shape = x[i].shape();
    if (shape.rank() != x[0].rank() || shape.with_dim(along, 0) != x[0].shape().with_dim(along, 0)) {
      throw ShapeError("concat: tensor 0 is " + to_string(x[0].shape()) + " and tensor " + std::to_string(i) +
                       " is " + to_string(shape) + "; all dimensions but " + std::to_string(axis) +
                       " must be equal");
    }
    total += shape.dim(along);
  }
  const Shape result = x[0].shape().with_dim(along, total);
  auto y = Tensor<T, B>::empty(result);
  const Vec<T> to = y.mutable_vec();
  std::vector<StridedCopy> pieces;
  std::int64_t first = 0;
  for (const auto& part : x) {
    pieces.push_back(detail::block(part.shape(), along, 0, 1, part.dim(along), result, first));
    detail::copy_piece<T, B>(pieces.back(), part.vec().data, to.data);
    first += part.dim(along);
  }
  if constexpr (FloatingPoint<T>) {
    detail::Inputs from;
    std::vector<Sink<T, B>> sinks;
    for (const auto& part : x) {
      from.append(inputs(unread(part)));
      sinks.push_back(sink(part));
    }
    return record("concat", y, std::move(from), [pieces, sinks](const Tensor<T, B>& dy) {
      for (std::size_t i = 0; i < sinks.size(); ++i) {
        if (sinks[i]) detail::add_pieces(sinks[i], {pieces[i]}, true, dy.vec());
      }
    });
  } else {
    return y;
  }
}
template <class T, class B>
Tensor<T, B> concat(std::initializer_list<Tensor<T, B>> x, int axis) {
  return concat(std::vector<Tensor<T, B>>(x), axis);
}

/// Tensors of one shape along a new dimension. Throws ShapeError if the shapes differ, or if there is no
/// tensor.
template <class T, class B>
Tensor<T, B> stack(const std::vector<Tensor<T, B>>& x, int axis) {
  if (x.empty()) throw ShapeError("stack: there are no tensors; at least one is needed");
  const int rank = x[0].rank();
  if (axis < -rank - 1 || axis > rank || rank == Shape::max_rank) {
    throw ShapeError("stack: tensor 0 is " + to_string(x[0].shape()) +
                     "; there is no place for a dimension " + std::to_string(axis) +
                     (rank == Shape::max_rank ? " beside 6 others" : ""));
  }
  std::vector<Tensor<T, B>> parts;
  for (const auto& part : x) {
    check::same_shape("stack", {"tensor 0", x[0].shape()}, {"another tensor", part.shape()});
    parts.push_back(unsqueeze(part, axis));
  }
  return concat(parts, axis);
}
template <class T, class B>
Tensor<T, B> stack(std::initializer_list<Tensor<T, B>> x, int axis) {
  return stack(std::vector<Tensor<T, B>>(x), axis);
}

/// x, so often along each dimension: x [2, 3], counts {1, 2} -> [2, 6]. Throws ShapeError unless there is a
/// count of 0 or more for each dimension.
template <class T, class B>
Tensor<T, B> repeat(const Tensor<T, B>& x, const std::vector<std::int64_t>& counts) {
  bool is_right = static_cast<int>(counts.size()) == x.rank();
  for (const std::int64_t count : counts) is_right = is_right && count >= 0;
  if (!is_right) {
    throw ShapeError("repeat: x is " + to_string(x.shape()) + " and there are " +
                     std::to_string(counts.size()) + " counts; each dimension needs one, of 0 or more");
  }
  Shape result = x.shape();
  for (int axis = 0; axis < x.rank(); ++axis) {
    const std::int64_t count = counts[static_cast<std::size_t>(axis)], dim = x.dim(axis);
    if (dim > 0 && count > std::numeric_limits<std::int64_t>::max() / dim) {
      throw ShapeError("repeat: x is " + to_string(x.shape()) + "; dimension " + std::to_string(axis) + " " +
                       std::to_string(count) + " times is too large");
    }
    result = result.with_dim(axis, dim * count);
  }
  Tensor<T, B> y = x;
  for (int axis = 0; axis < x.rank(); ++axis) {
    if (counts[static_cast<std::size_t>(axis)] == 0) y = slice(y, axis, 0, 0);
  }
  for (int axis = 0; axis < x.rank(); ++axis) {
    const std::int64_t count = counts[static_cast<std::size_t>(axis)];
    if (count < 2) continue;
    const Shape& shape = y.shape();
    const std::int64_t outer = shape.product(0, axis), each = shape.product(axis, shape.rank());
    y = reshape(expand(reshape(y, {outer, 1, each}), {outer, count, each}),
                shape.with_dim(axis, result.dim(axis)));
  }
  return y;
}

/// The order of elements along these dimensions turned round.
template <class T, class B>
Tensor<T, B> flip(const Tensor<T, B>& x, const Axes& axes) {
  const auto turned = axes.of("flip", x.shape());
  detail::Rearrangement way{x.shape(), {StridedCopy{}}};
  const auto strides = strides_of(x.shape());
  StridedCopy& copy = way.pieces[0];
  for (int axis = 0; axis < x.rank(); ++axis) {
    const auto i = static_cast<std::size_t>(axis);
    copy.add(x.dim(axis), turned[i] ? -strides[i] : strides[i], strides[i]);
    if (turned[i] && x.size() > 0) copy.from_first += (x.dim(axis) - 1) * strides[i];
  }
  return detail::rearrange("flip", x, std::move(way));
}

/// Element i along a dimension moves to i + shift; what leaves at one end comes in at the other.
template <class T, class B>
Tensor<T, B> roll(const Tensor<T, B>& x, std::int64_t shift, int axis) {
  const Shape& shape = x.shape();
  const int along = detail::axis_of("roll", shape, axis);
  const std::int64_t size = shape.dim(along);
  const std::int64_t by = size == 0 ? 0 : (shift % size + size) % size;
  return detail::rearrange("roll", x,
                           {shape,
                            {detail::block(shape, along, 0, 1, size - by, shape, by),
                             detail::block(shape, along, size - by, 1, by, shape)}});
}

/// x with `value` around it: before[i] elements before it and after[i] behind it along dimension i, for each
/// pair {before, after}. Throws ShapeError unless there is a pair of 0 or more for each dimension.
template <class T, class B>
Tensor<T, B> pad(const Tensor<T, B>& x, const std::vector<std::pair<std::int64_t, std::int64_t>>& widths,
                 std::type_identity_t<acc_t<T>> value = 0) {
  bool is_right = static_cast<int>(widths.size()) == x.rank();
  for (const auto& [before, after] : widths) is_right = is_right && before >= 0 && after >= 0;
  if (!is_right) {
    throw ShapeError("pad: x is " + to_string(x.shape()) + " and there are " + std::to_string(widths.size()) +
                     " pairs; each dimension needs one, {before, after} of 0 or more");
  }
  Shape result = x.shape();
  for (int axis = 0; axis < x.rank(); ++axis) {
    const auto& [before, after] = widths[static_cast<std::size_t>(axis)];
    constexpr std::int64_t most = std::int64_t{1} << 60;  // more elements than a shape may have
    if (before > most || after > most) {
      throw ShapeError("pad: x is " + to_string(x.shape()) + "; dimension " + std::to_string(axis) +
                       " with " + std::to_string(before) + " before it and " + std::to_string(after) +
                       " behind it is too large");
    }
    result = result.with_dim(axis, before + x.dim(axis) + after);
  }
  const auto from = strides_of(x.shape()), to = strides_of(result);
  StridedCopy copy;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    copy.add(x.dim(static_cast<int>(i)), from[i], to[i]);
    copy.to_first += widths[i].first * to[i];
  }
  return detail::rearrange("pad", x, {result, {copy}, result.size() == x.size(), true},
                           static_cast<T>(value));
}

namespace detail {
template <FloatingPoint T, class B>
Tensor<T, B> triangle(std::string_view op, const Tensor<T, B>& x, std::int64_t diagonal, bool is_lower) {
  if (x.rank() < 2) {
    throw ShapeError(std::string(op) + ": x is " + to_string(x.shape()) +
                     "; at least 2 dimensions are needed");
  }
  const auto row = reshape(arange<std::int32_t, B>(x.dim(-2)), {x.dim(-2), 1});
  return map(op, ops::Triangle{diagonal, is_lower}, x, row, arange<std::int32_t, B>(x.dim(-1)));
}
}  // namespace detail

/// The lower triangle of the last two dimensions: 0 where the column is more than `diagonal` to the right of
/// the row.
template <FloatingPoint T, class B>
Tensor<T, B> tril(const Tensor<T, B>& x, std::int64_t diagonal = 0) {
  return detail::triangle("tril", x, diagonal, true);
}
/// The upper triangle: 0 where the column is less than `diagonal` to the right of the row.
template <FloatingPoint T, class B>
Tensor<T, B> triu(const Tensor<T, B>& x, std::int64_t diagonal = 0) {
  return detail::triangle("triu", x, diagonal - 1, false);
}

}  // namespace cria
