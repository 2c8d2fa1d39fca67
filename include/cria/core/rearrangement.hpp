#pragma once
/// Copies between two arrays whose elements lie apart by strides: what rearranges a tensor without computing.

#include <array>
#include <cstdint>
#include <span>

#include "cria/core/config.hpp"
#include "cria/core/shape.hpp"

namespace cria {

/// A block of elements in two arrays. Element [i, j, ...] of the block is element
/// from_first + i from[0] + j from[1] + ... of the one and to_first + i to[0] + j to[1] + ... of the other.
/// No element of either is named twice.
struct StridedCopy {
  int rank = 0;
  std::int64_t size = 1;
  std::int64_t dims[Shape::max_rank];  // none is 1; neighbours that move alike on both sides are one
  std::int64_t from[Shape::max_rank];
  std::int64_t to[Shape::max_rank];
  std::int64_t from_first = 0;
  std::int64_t to_first = 0;

  /// Adds a dimension inside of those there are.
  void add(std::int64_t dim, std::int64_t from_stride, std::int64_t to_stride) {
    size *= dim;
    if (dim == 1) return;
    if (rank > 0 && from[rank - 1] == dim * from_stride && to[rank - 1] == dim * to_stride) {
      dims[rank - 1] *= dim;
    } else {
      dims[rank++] = dim;
    }
    from[rank - 1] = from_stride;
    to[rank - 1] = to_stride;
  }
  /// The copy back.
  StridedCopy reversed() const {
    StridedCopy result = *this;
    for (int axis = 0; axis < rank; ++axis) {
      result.from[axis] = to[axis];
      result.to[axis] = from[axis];
    }
    result.from_first = to_first;
    result.to_first = from_first;
    return result;
  }
};

/// Elements from an index of each dimension to the next.
inline std::array<std::int64_t, Shape::max_rank> strides_of(const Shape& shape) {
  std::array<std::int64_t, Shape::max_rank> strides{};
  std::int64_t stride = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[static_cast<std::size_t>(axis)] = stride;
    stride *= shape.dim(axis);
  }
  return strides;
}

}  // namespace cria
