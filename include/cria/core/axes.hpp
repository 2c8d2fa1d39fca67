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

  /// Whether dimension i of `shape` is one of these, for each i. Throws ShapeError, in the name of the
  /// operation, for a dimension that does not exist or is named twice.
  std::array<bool, Shape::max_rank> of(std::string_view op, const Shape& shape) const {
    std::array<bool, Shape::max_rank> found;
    found.fill(are_all_);
    for (int i = 0; i < count_; ++i) {
      const int axis = axes_[static_cast<std::size_t>(i)], positive = axis < 0 ? axis + shape.rank() : axis;
      const bool exists = positive >= 0 && positive < shape.rank();
      if (exists && !std::exchange(found[static_cast<std::size_t>(positive)], true)) continue;
      throw ShapeError(std::string(op) + ": x is " + to_string(shape) + "; " +
                       (exists ? "dimension " + std::to_string(axis) + " is named twice"
                               : "it has no dimension " + std::to_string(axis)));
    }
    return found;
  }

 private:
  std::array<int, Shape::max_rank> axes_{};
  int count_ = 0;
  bool are_all_ = false;
};

}  // namespace cria
