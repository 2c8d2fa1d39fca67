#pragma once
/// Dimensions of a tensor, as reductions take them.

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "cria/core/error.hpp"
#include "cria/core/shape.hpp"

namespace cria {

namespace detail {
/// The number from 0 of a dimension of x. Throws ShapeError, in the name of the operation, if there is none.
inline int axis_of(std::string_view op, const Shape& shape, int axis) {
  const int positive = axis < 0 ? axis + shape.rank() : axis;
  if (positive >= 0 && positive < shape.rank()) return positive;
  throw ShapeError(std::string(op) + ": x is " + to_string(shape) + "; it has no dimension " +
                   std::to_string(axis));
}
}  // namespace detail

/// One or several dimensions, in any order, of which negative ones count from the last, -1; or all.
class Axes {
 public:
  Axes(int axis) : Axes({axis}) {}
  Axes(std::initializer_list<int> axes) {
    for (const int axis : axes) {
      if (count_ == Shape::max_rank) throw ShapeError("Axes: a shape has at most 6 dimensions");
      axes_[static_cast<std::size_t>(count_++)] = axis;
    }
  }
  static Axes all() {
    Axes axes({});
    axes.are_all_ = true;
    return axes;
  }

  /// The dimensions [first, last).
  static Axes range(int first, int last) {
    Axes axes({});
    for (int axis = first; axis < last; ++axis) axes.axes_[static_cast<std::size_t>(axes.count_++)] = axis;
    return axes;
  }

  /// All dimensions of `rank` but one.
  static Axes all_but(int left_out, int rank) {
    Axes axes({});
    for (int axis = 0; axis < rank; ++axis) {
      if (axis != left_out) axes.axes_[static_cast<std::size_t>(axes.count_++)] = axis;
    }
    return axes;
  }

  /// Whether dimension i of `shape` is one of these, for each i. Throws ShapeError, in the name of the
  /// operation, for a dimension that does not exist or is named twice.
  std::array<bool, Shape::max_rank> of(std::string_view op, const Shape& shape) const {
    std::array<bool, Shape::max_rank> found;
    found.fill(are_all_);
    for (int i = 0; i < count_; ++i) {
      const int axis = axes_[static_cast<std::size_t>(i)];
      bool& is_named = found[static_cast<std::size_t>(detail::axis_of(op, shape, axis))];
      if (!std::exchange(is_named, true)) continue;
      throw ShapeError(std::string(op) + ": x is " + to_string(shape) + "; dimension " +
                       std::to_string(axis) + " is named twice");
    }
    return found;
  }

 private:
  std::array<int, Shape::max_rank> axes_{};
  int count_ = 0;
  bool are_all_ = false;
};

}  // namespace cria
