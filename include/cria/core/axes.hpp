#pragma once
/// Dimensions of a tensor, as reductions take them.

#include <array>
#include <concepts>
#include <cstdint>
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
  /// None.
  Axes() = default;
  /// The axes are no std::initializer_list: g++ 12 would take options in their place, {.correction = 0}, for
  /// the axes {0}.
  template <std::integral... I>
  requires(sizeof...(I) > 0 && !(std::same_as<I, bool> || ...)) Axes(I... axes) {
    (append(static_cast<int>(axes)), ...);
  }
  static Axes all() {
    Axes axes;
    axes.are_all_ = true;
    return axes;
  }

  /// The dimensions [first, last).
  static Axes range(int first, int last) {
    Axes axes;
    for (int axis = first; axis < last; ++axis) axes.append(axis);
    return axes;
  }

  /// All dimensions of `rank` but one.
  static Axes all_but(int left_out, int rank) {
    Axes axes;
    for (int axis = 0; axis < rank; ++axis) {
      if (axis != left_out) axes.append(axis);
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
  void append(int axis) {
    if (count_ == Shape::max_rank) throw ShapeError("Axes: a shape has at most 6 dimensions");
    axes_[static_cast<std::size_t>(count_++)] = axis;
  }

  std::array<int, Shape::max_rank> axes_{};
  int count_ = 0;
  bool are_all_ = false;
};

}  // namespace cria
