#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "cria/core/axes.hpp"
#include "cria/core/check.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/accumulate.hpp"

namespace cria {

/// The same elements in row-major order under another shape. Shares x's memory.
/// Throws ShapeError unless the number of elements stays the same.
template <class T, class B>
Tensor<T, B> reshape(const Tensor<T, B>& x, const Shape& shape) {
  check::same_size("reshape", {"x", x.shape()}, {"shape", shape});
  auto y = detail::share_values(x, shape);
  if constexpr (FloatingPoint<T>) {
    return record("reshape", y, inputs(unread(x)),
                  [dx = sink(x)](const Tensor<T, B>& dy) { accumulate(dx, dy); });
  } else {
    return y;
  }
}

namespace detail {
/// The size of a dimension, or -1 for what follows from the others.
class FreeDim {
 public:
  template <std::integral I>
  FreeDim(I size) : size_(std::cmp_equal(size, -1) ? -1 : std::int64_t(Dim(size))) {}
  operator std::int64_t() const { return size_; }

 private:
  std::int64_t size_;
};
}  // namespace detail

/// The same under a shape of which one dimension may be -1, `reshape(x, {-1, 8})`: it becomes what the number
/// of elements leaves for it. Throws ShapeError if more are, or if it would be no integer.
template <class T, class B>
Tensor<T, B> reshape(const Tensor<T, B>& x, std::initializer_list<detail::FreeDim> shape) {
  std::vector<std::int64_t> dims(shape.begin(), shape.end());
  const auto free = std::find(dims.begin(), dims.end(), -1);
  if (free == dims.end()) return reshape(x, Shape(dims));
  *free = 1;
  if (std::find(dims.begin(), dims.end(), -1) != dims.end())
    throw ShapeError("reshape: several dimensions are -1; at most one may be");
  const std::int64_t others = Shape(dims).size();
  if (others == 0 || x.size() % others != 0) {
    throw ShapeError("reshape: x is " + to_string(x.shape()) + " and the dimensions beside -1 make " +
                     std::to_string(others) + "; " + std::to_string(x.size()) +
                     " elements must be a multiple of that");
  }
  *free = x.size() / others;
  return reshape(x, Shape(dims));
}

/// Without dimension `axis`, which is 1. Shares memory. Throws ShapeError if it is not 1 or does not exist.
template <class T, class B>
Tensor<T, B> squeeze(const Tensor<T, B>& x, int axis) {
  const int at = detail::axis_of("squeeze", x.shape(), axis);
  if (x.dim(at) != 1) {
    throw ShapeError("squeeze: x is " + to_string(x.shape()) + "; dimension " + std::to_string(axis) +
                     " must be 1");
  }
  std::vector<std::int64_t> dims(x.shape().begin(), x.shape().end());
  dims.erase(dims.begin() + at);
  return reshape(x, Shape(dims));
}

/// With a dimension of 1 before dimension `axis`; -1 means behind the last. Shares memory. Throws ShapeError
/// if there is no such place.
template <class T, class B>
Tensor<T, B> unsqueeze(const Tensor<T, B>& x, int axis) {
  const int at = axis < 0 ? axis + x.rank() + 1 : axis;
  if (at < 0 || at > x.rank()) {
    throw ShapeError("unsqueeze: x is " + to_string(x.shape()) + "; there is no place for a dimension " +
                     std::to_string(axis));
  }
  std::vector<std::int64_t> dims(x.shape().begin(), x.shape().end());
  dims.insert(dims.begin() + at, 1);
  return reshape(x, Shape(dims));
}

/// The dimensions from `first` to `last` as one. Shares memory. Throws ShapeError if they do not exist or
/// come in the wrong order.
template <class T, class B>
Tensor<T, B> flatten(const Tensor<T, B>& x, int first = 0, int last = -1) {
  if (x.rank() == 0) return reshape(x, {1});
  const int begin = detail::axis_of("flatten", x.shape(), first),
            end = detail::axis_of("flatten", x.shape(), last);
  if (end < begin) {
    throw ShapeError("flatten: x is " + to_string(x.shape()) + "; dimension " + std::to_string(first) +
                     " must not come after dimension " + std::to_string(last));
  }
  std::vector<std::int64_t> dims(x.shape().begin(), x.shape().begin() + begin);
  dims.push_back(x.shape().product(begin, end + 1));
  dims.insert(dims.end(), x.shape().begin() + end + 1, x.shape().end());
  return reshape(x, Shape(dims));
}

}  // namespace cria
