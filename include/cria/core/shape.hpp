#pragma once
/// Shape: the sizes of a tensor's dimensions, known at run time.

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <span>
#include <sstream>
#include <string>
#include <utility>

#include "cria/core/error.hpp"

namespace cria {

/// The size of a dimension, from an integer of any type. Throws ShapeError for a negative one.
class Dim {
 public:
  template <std::integral I>
  Dim(I size) : size_(static_cast<std::int64_t>(size)) {
    if (std::cmp_equal(size_, size) && size_ >= 0) return;
    throw ShapeError("Shape: dimension " + std::to_string(size) +
                     (size < 0 ? " is negative" : " is too large"));
  }
  operator std::int64_t() const { return size_; }

 private:
  std::int64_t size_;
};

/// Up to six dimension sizes, outermost first; prints as [2, 3]. The empty shape [] is a scalar's.
/// Throws ShapeError for more than six dimensions, a negative one, or more than 2^59 elements (dimensions of
/// 0 left out), whose bytes could not be counted.
class Shape {
 public:
  static constexpr int max_rank = 6;

  Shape() = default;
  Shape(std::initializer_list<Dim> dims) {
    for (const std::int64_t dim : dims) append(dim);
  }
  explicit Shape(std::span<const std::int64_t> dims) {
    for (const std::int64_t dim : dims) append(dim);
  }

  int rank() const { return rank_; }
  const std::int64_t* begin() const { return dims_.data(); }
  const std::int64_t* end() const { return dims_.data() + rank_; }

  /// Number of elements; 1 for the empty shape.
  std::int64_t size() const {
    std::int64_t product = 1;
    for (const std::int64_t dim : *this) product *= dim;
    return product;
  }

  /// Size of dimension `axis`; negative axes count from the last, -1. Throws ShapeError if there is none.
  std::int64_t dim(int axis) const { return dims_[index(axis)]; }

  /// The axis as a number from 0. Throws ShapeError if there is none.
  int axis(int axis) const { return static_cast<int>(index(axis)); }

  /// This shape with dimension `axis` replaced by `size`.
  Shape with_dim(int axis, std::int64_t size) const {
    Shape result = *this;
    result.dims_[index(axis)] = Dim(size);
    result.check_size();
    return result;
  }

  /// All dimensions but the last.
  Shape leading() const {
    index(-1);
    return Shape(std::span(begin(), static_cast<std::size_t>(rank_ - 1)));
  }

  /// Product of the dimensions [first, last).
  std::int64_t product(int first, int last) const {
    std::int64_t product = 1;
    for (int axis = first; axis < last; ++axis) product *= dims_[static_cast<std::size_t>(axis)];
    return product;
  }

  /// The place of the element with these indices, in row-major order; negative ones count from the last.
  /// Throws ShapeError unless there is one index for each dimension, and it is inside.
  std::int64_t offset(std::initializer_list<std::int64_t> indices) const {
    std::int64_t offset = 0;
    int axis = 0;
    bool fits = static_cast<int>(indices.size()) == rank_;
    std::string text;
    for (const std::int64_t index : indices) {
      text += (text.empty() ? "" : ", ") + std::to_string(index);
      if (!fits) continue;
      const std::int64_t size = dim(axis++), positive = index < 0 ? index + size : index;
      fits = positive >= 0 && positive < size;
      offset = offset * size + positive;
    }
    if (fits) return offset;
    throw ShapeError("at: shape " + to_string(*this) + " has no element {" + text + "}");
  }

  friend bool operator==(const Shape& a, const Shape& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

  friend std::ostream& operator<<(std::ostream& out, const Shape& shape) {
    out << '[';
    for (int axis = 0; axis < shape.rank(); ++axis) out << (axis > 0 ? ", " : "") << shape.dim(axis);
    return out << ']';
  }

 private:
  void append(std::int64_t dim) {
    if (rank_ == max_rank)
      throw ShapeError("Shape: at most " + std::to_string(max_rank) + " dimensions are allowed");
    dims_[static_cast<std::size_t>(rank_++)] = Dim(dim);
    check_size();
  }

  void check_size() const {
    std::int64_t elements = 1;
    for (const std::int64_t dim : *this) {
      if (dim > max_elements / elements) {
        throw ShapeError("Shape: " + to_string(*this) + " has more than 2^59 elements");
      }
      elements *= std::max<std::int64_t>(dim, 1);
    }
  }

  std::size_t index(int axis) const {
    const int positive = axis < 0 ? axis + rank_ : axis;
    if (positive < 0 || positive >= rank_) {
      throw ShapeError("Shape: " + to_string(*this) + " has no dimension " + std::to_string(axis));
    }
    return static_cast<std::size_t>(positive);
  }

  static constexpr std::int64_t max_elements = std::int64_t{1} << 59;

  std::array<std::int64_t, max_rank> dims_{};
  int rank_ = 0;

 public:
  /// "[2, 3]".
  friend std::string to_string(const Shape& shape) {
    std::ostringstream text;
    text << shape;
    return text.str();
  }
};

}  // namespace cria
