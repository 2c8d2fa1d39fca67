#pragma once
/// The shape rules of operations, each with its sentence: the operation, every shape by argument name, the
/// rule with its numbers; and the rules of options, with the option's name and value.

#include <cmath>
#include <string>
#include <string_view>

#include "cria/core/error.hpp"
#include "cria/core/shape.hpp"

namespace cria::check {

/// A shape and the name of the argument that has it.
struct Named {
  std::string_view name;
  const Shape& shape;
};

namespace detail {
inline std::string describe(const Named& x) {
  return std::string(x.name) + " is " + to_string(x.shape);
}
inline std::string dim(const Named& x, int axis) {
  return std::string(x.name) + ".dim(" + std::to_string(axis) + ")";
}
inline std::string dimensions(int count) {
  return std::to_string(count) + (count == 1 ? " dimension" : " dimensions");
}
[[noreturn]] inline void fail(std::string_view op, const std::string& problem, const std::string& rule) {
  throw ShapeError(std::string(op) + ": " + problem + "; " + rule);
}
}  // namespace detail

inline void same_shape(std::string_view op, const Named& a, const Named& b) {
  if (a.shape == b.shape) return;
  detail::fail(op, "shapes differ: " + detail::describe(a) + ", " + detail::describe(b),
               "they must be equal");
}

inline void rank(std::string_view op, const Named& x, int rank) {
  if (x.shape.rank() == rank) return;
  detail::fail(op, detail::describe(x), "it must have " + detail::dimensions(rank));
}

inline void rank_at_least(std::string_view op, const Named& x, int rank) {
  if (x.shape.rank() >= rank) return;
  detail::fail(op, detail::describe(x), "it must have at least " + detail::dimensions(rank));
}

/// Dimension `axis_a` of a equals dimension `axis_b` of b.
inline void equal_dims(std::string_view op, const Named& a, int axis_a, const Named& b, int axis_b) {
  if (a.shape.dim(axis_a) == b.shape.dim(axis_b)) return;
  detail::fail(op, "dimensions differ: " + detail::describe(a) + ", " + detail::describe(b),
               detail::dim(a, axis_a) + " = " + std::to_string(a.shape.dim(axis_a)) + " must equal " +
                   detail::dim(b, axis_b) + " = " + std::to_string(b.shape.dim(axis_b)));
}

/// The number of elements stays the same.
inline void same_size(std::string_view op, const Named& from, const Named& to) {
  if (from.shape.size() == to.shape.size()) return;
  detail::fail(op, "sizes differ: " + detail::describe(from) + ", " + detail::describe(to),
               std::to_string(from.shape.size()) + " elements must equal " + std::to_string(to.shape.size()));
}

/// Dimension `axis` of x is a multiple of `divisor`, which is called `what`.
inline void divisible(std::string_view op, const Named& x, int axis, std::string_view what,
                      std::int64_t divisor) {
  if (divisor > 0 && x.shape.dim(axis) % divisor == 0) return;
  detail::fail(op, detail::describe(x),
               detail::dim(x, axis) + " = " + std::to_string(x.shape.dim(axis)) + " must be a multiple of " +
                   std::string(what) + " = " + std::to_string(divisor));
}

/// Dimension `axis_a` of a is at least dimension `axis_b` of b.
inline void at_least(std::string_view op, const Named& a, int axis_a, const Named& b, int axis_b) {
  if (a.shape.dim(axis_a) >= b.shape.dim(axis_b)) return;
  detail::fail(op, detail::describe(a) + ", " + detail::describe(b),
               detail::dim(a, axis_a) + " = " + std::to_string(a.shape.dim(axis_a)) + " must be at least " +
                   detail::dim(b, axis_b) + " = " + std::to_string(b.shape.dim(axis_b)));
}

/// x has at least one element.
inline void not_empty(std::string_view op, const Named& x) {
  if (x.shape.size() > 0) return;
  detail::fail(op, detail::describe(x), "at least one element is needed");
}

/// The option `name` of `owner` has an allowed value; if not, `rule` says which are.
template <class N>
void option(bool allowed, std::string_view owner, std::string_view name, N value, std::string_view rule) {
  if (allowed) return;
  throw ConfigError(std::string(owner) + ": " + std::string(name) + " is " + std::to_string(value) + "; " +
                    std::string(rule));
}

/// An option is a number from 0 on.
inline void not_negative(std::string_view owner, std::string_view name, double value) {
  option(value >= 0 && std::isfinite(value), owner, name, value, "it must be a number from 0 on");
}

/// An option is a number in [0, 1).
inline void below_one(std::string_view owner, std::string_view name, double value) {
  option(value >= 0 && value < 1, owner, name, value, "it must be in [0, 1)");
}

/// An option that is a function is not empty; `of` says what it is a function of.
template <class F>
void function(std::string_view owner, std::string_view name, const F& value, std::string_view of) {
  if (value) return;
  throw ConfigError(std::string(owner) + ": " + std::string(name) + " is empty; it must be a function of " +
                    std::string(of));
}

/// An index does not name an element along a dimension.
[[noreturn]] inline void fail_index(std::string_view op, std::int64_t position, std::int32_t index,
                                    std::int64_t bound) {
  throw ShapeError(std::string(op) + ": index " + std::to_string(index) + " at position " +
                   std::to_string(position) + " is out of range; it must be in [0, " + std::to_string(bound) +
                   ")");
}

/// An embedding got a token that is not in [0, vocabulary).
[[noreturn]] inline void fail_token(std::string_view op, std::int64_t position, std::int32_t token,
                                    std::int64_t vocabulary) {
  throw ShapeError(std::string(op) + ": token " + std::to_string(token) + " at position " +
                   std::to_string(position) + " is outside the vocabulary; it must be in [0, " +
                   std::to_string(vocabulary) + ")");
}

/// A loss got a target that is neither in [0, classes) nor `ignored`.
[[noreturn]] inline void fail_target(std::string_view op, std::int64_t position, std::int32_t target,
                                     std::int64_t classes, std::int32_t ignored) {
  throw ShapeError(std::string(op) + ": target " + std::to_string(target) + " at position " +
                   std::to_string(position) + " is not a class; it must be in [0, " +
                   std::to_string(classes) + ") or " + std::to_string(ignored) + " to be ignored");
}

}  // namespace cria::check
