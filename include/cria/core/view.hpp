#pragma once
/// Views: non-owning, row-major, and contiguous but for Heads, which have strides; all that a kernel sees of
/// a tensor.

#include <cstdint>

#include "cria/core/config.hpp"
#include "cria/core/shape.hpp"

namespace cria {

/// n elements.
template <class T>
struct Vec {
  T* data = nullptr;
  std::int64_t size = 0;

  CRIA_HOST_DEVICE explicit operator bool() const { return data != nullptr; }
  CRIA_HOST_DEVICE T& operator[](std::int64_t i) const { return data[i]; }
  CRIA_HOST_DEVICE operator Vec<const T>() const { return {data, size}; }
};

/// A matrix [rows, cols].
template <class T>
struct Rows {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;

  CRIA_HOST_DEVICE explicit operator bool() const { return data != nullptr; }
  CRIA_HOST_DEVICE T* row(std::int64_t i) const { return data + i * cols; }
  CRIA_HOST_DEVICE Rows slice(std::int64_t first, std::int64_t count) const {
    return {row(first), count, cols};
  }
  CRIA_HOST_DEVICE operator Rows<const T>() const { return {data, rows, cols}; }
};

/// A stack of planes [outer, middle, inner].
template <class T>
struct Planes {
  T* data = nullptr;
  std::int64_t outer = 0;
  std::int64_t middle = 0;
  std::int64_t inner = 0;

  CRIA_HOST_DEVICE explicit operator bool() const { return data != nullptr; }
  CRIA_HOST_DEVICE Rows<T> plane(std::int64_t i) const { return {data + i * middle * inner, middle, inner}; }
  CRIA_HOST_DEVICE operator Planes<const T>() const { return {data, outer, middle, inner}; }
};

/// Attention's queries, keys or values [batch, length, heads, dim]. The heads of a position are neighbours in
/// memory; positions and sequences may be further apart, so that this can be a part of a tensor with more
/// heads or more positions.
template <class T>
struct Heads {
  T* data = nullptr;
  std::int64_t batch = 0;
  std::int64_t length = 0;
  std::int64_t heads = 0;
  std::int64_t dim = 0;
  std::int64_t batch_stride = 0;  // elements from a sequence to the next
  std::int64_t row_stride = 0;    // elements from a position to the next

  CRIA_HOST_DEVICE explicit operator bool() const { return data != nullptr; }
  /// The first element of position `t` of head `h` in sequence `b`.
  CRIA_HOST_DEVICE T* at(std::int64_t b, std::int64_t t, std::int64_t h) const {
    return data + b * batch_stride + t * row_stride + h * dim;
  }
  CRIA_HOST_DEVICE operator Heads<const T>() const {
    return {data, batch, length, heads, dim, batch_stride, row_stride};
  }
};

/// Indices [outer, m, inner] that may be repeated: a stride is 0 along a dimension where they are.
struct IndexView {
  Vec<const std::int32_t> all;
  std::int64_t outer_stride = 0;
  std::int64_t stride = 0;
  std::int64_t inner_stride = 0;
  const char* op = "gather";  // the operation, for the sentence about an index that is out of range

  CRIA_HOST_DEVICE std::int32_t at(std::int64_t o, std::int64_t j, std::int64_t i) const {
    return all[o * outer_stride + j * stride + i * inner_stride];
  }
};

/// A view of the memory that a gradient is summed up in. A fresh one is uninitialised, since nothing was
/// added to it yet: it is not added to but overwritten, every element. That saves filling it with zeros and
/// reading them.
template <class View>
struct Gradient : View {
  bool fresh = false;
};

/// Row-major memory of `shape` as [everything but the last dimension, last dimension]; a scalar is [1, 1].
template <class T>
Rows<T> as_rows(T* data, const Shape& shape) {
  return {data, shape.product(0, shape.rank() - 1), shape.rank() == 0 ? 1 : shape.dim(-1)};
}
/// As a stack of matrices, the last two dimensions.
template <class T>
Planes<T> as_planes(T* data, const Shape& shape) {
  return {data, shape.product(0, shape.rank() - 2), shape.dim(-2), shape.dim(-1)};
}
/// `shape` is [batch, length, heads, dim].
template <class T>
Heads<T> as_heads(T* data, const Shape& shape) {
  return {data,         shape.dim(0),        shape.dim(1),       shape.dim(2),
          shape.dim(3), shape.product(1, 4), shape.product(2, 4)};
}

}  // namespace cria
