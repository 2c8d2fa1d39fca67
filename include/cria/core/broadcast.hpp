#pragma once
/// How tensors of several shapes are combined element by element, by NumPy's rules: shapes are aligned at
/// their last dimension, and a dimension that is 1, or is not there, is repeated.

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "cria/core/config.hpp"
#include "cria/core/division.hpp"
#include "cria/core/error.hpp"
#include "cria/core/shape.hpp"

namespace cria {

/// The loop over a result's elements that inputs are broadcast to: as few dimensions as describe it,
/// outermost first, none of which is 1. Every input has a stride for each, 0 where it is repeated.
struct Broadcast {
  static constexpr int most_inputs = 8;

  std::int64_t size = 1;  // elements of the result
  int inputs = 0;
  int rank = 0;
  std::int64_t dims[Shape::max_rank];
  std::int64_t strides[most_inputs][Shape::max_rank];
  std::int64_t sizes[most_inputs];  // elements of each input
  bool is_whole[most_inputs];       // whether an input's elements are those of the result, one by one

  /// Whether this holds for every input.
  bool all_whole() const {
    return std::all_of(is_whole, is_whole + inputs, [](bool whole) { return whole; });
  }
  /// Whether input k moves along the innermost dimension, and is not repeated there.
  bool moves(int k) const { return rank > 0 && strides[k][rank - 1] != 0; }
  /// Where input k is read for element i of the result.
  CRIA_HOST_DEVICE std::int64_t offset(int k, std::int64_t i) const {
    if (is_whole[k]) return i;
    std::int64_t offset = 0;
    for (int axis = Shape::max_rank - 1; axis >= 0;
         --axis) {  // a GPU has registers for what it unrolls, no addresses
      if (axis >= rank) continue;
      const Divided by = divided(i, dims[axis]);
      offset += by.rest * strides[k][axis];
      i = by.quotient;
    }
    return offset;
  }
};

/// The shape that tensors of these shapes are broadcast to. Throws ShapeError, in the name of the operation,
/// if there is none.
inline Shape broadcast_shape(std::string_view op, std::span<const Shape> shapes) {
  if (std::equal(shapes.begin() + 1, shapes.end(), shapes.begin())) return shapes[0];
  int rank = 0;
  for (const Shape& shape : shapes) rank = std::max(rank, shape.rank());
  std::array<std::int64_t, Shape::max_rank> dims;
  dims.fill(1);
  for (const Shape& shape : shapes) {
    for (int axis = -1; axis >= -shape.rank(); --axis) {
      std::int64_t& dim = dims[static_cast<std::size_t>(rank + axis)];
      if (dim == 1) dim = shape.dim(axis);
      if (shape.dim(axis) == dim || shape.dim(axis) == 1) continue;
      std::string text;
      for (std::size_t k = 0; k < shapes.size(); ++k) {
        text += (k == 0 ? "" : k + 1 == shapes.size() ? " and " : ", ") + to_string(shapes[k]);
      }
      throw ShapeError(std::string(op) + ": shapes " + text +
                       " do not fit together; counted from the last, " + "dimensions must be equal or 1");
    }
  }
  return Shape(std::span(dims.data(), static_cast<std::size_t>(rank)));
}

namespace detail {
inline Broadcast broadcast(const Shape& result, std::span<const Shape> shapes) {
  // No more than it ever is, which lets GCC see that no array is exceeded.
  const int inputs = std::min(static_cast<int>(shapes.size()), Broadcast::most_inputs);
  Broadcast loop;
  loop.size = result.size();
  loop.inputs = inputs;
  for (int k = 0; k < inputs; ++k) {
    loop.sizes[k] = shapes[static_cast<std::size_t>(k)].size();
    loop.is_whole[k] = loop.sizes[k] == loop.size;
  }
  if (loop.all_whole()) {
    loop.rank = 1;
    loop.dims[0] = loop.size;
    for (int k = 0; k < inputs; ++k) loop.strides[k][0] = 1;
    return loop;
  }
  // From the innermost dimension on, as they are found; turned around below.
  std::int64_t next[Broadcast::most_inputs];  // an input's stride in the next dimension
  std::fill(next, next + inputs, 1);
  for (int axis = -1; axis >= -result.rank(); --axis) {
    const std::int64_t dim = result.dim(axis);
    if (dim == 1) continue;
    std::int64_t stride[Broadcast::most_inputs];
    bool goes_on = loop.rank > 0;  // whether this dimension is as if the one inside of it were longer
    for (int k = 0; k < inputs; ++k) {
      const Shape& shape = shapes[static_cast<std::size_t>(k)];
      const bool repeated = axis < -shape.rank() || shape.dim(axis) == 1;
      stride[k] = repeated ? 0 : next[k];
      if (!repeated) next[k] *= dim;
      if (loop.rank > 0) {
        goes_on = goes_on && stride[k] == loop.strides[k][loop.rank - 1] * loop.dims[loop.rank - 1];
      }
    }
    if (goes_on) {
      loop.dims[loop.rank - 1] *= dim;
      continue;
    }
    loop.dims[loop.rank] = dim;
    for (int k = 0; k < inputs; ++k) loop.strides[k][loop.rank] = stride[k];
    ++loop.rank;
  }
  std::reverse(loop.dims, loop.dims + loop.rank);
  for (int k = 0; k < inputs; ++k) std::reverse(loop.strides[k], loop.strides[k] + loop.rank);
  return loop;
}
}  // namespace detail

/// The loop over the elements of `result`, that `shapes` are broadcast to.
template <std::size_t N>
Broadcast broadcast(const Shape& result, const std::array<Shape, N>& shapes) {
  static_assert(N <= Broadcast::most_inputs);
  return detail::broadcast(result, shapes);
}

}  // namespace cria
