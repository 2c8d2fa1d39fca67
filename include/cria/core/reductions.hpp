#pragma once
/// The ways in which a reduction puts numbers together: functors of two numbers, or registers of them, that
/// may be taken in any order, and the number that changes nothing.

#include <cstdint>
#include <limits>
#include <type_traits>

#include "cria/core/config.hpp"
#include "cria/core/dtype.hpp"

namespace cria::ops {

/// a + b
struct Total {
  template <class A>
  static constexpr A identity = A(0);
  template <class A>
  CRIA_HOST_DEVICE CRIA_INLINE A operator()(A a, A b) const {
    return a + b;
  }
};
/// a b
struct Product {
  template <class A>
  static constexpr A identity = A(1);
  template <class A>
  CRIA_HOST_DEVICE CRIA_INLINE A operator()(A a, A b) const {
    return a * b;
  }
};
/// The greater; NaN if one of them is.
struct Largest {
  template <class A>
  static constexpr A identity = std::is_floating_point_v<A> ? -std::numeric_limits<A>::infinity()
                                                            : std::numeric_limits<A>::lowest();
  template <class A>
  CRIA_HOST_DEVICE CRIA_INLINE A operator()(A a, A b) const {
    const A greater = of_numbers(a, b);
    return a != a ? a : greater;
  }
  /// The greater of two numbers, in half of the instructions; b if one of them is NaN.
  template <class A>
  CRIA_HOST_DEVICE CRIA_INLINE static A of_numbers(A a, A b) {
    return a > b ? a : b;
  }
};
/// The smaller; NaN if one of them is.
struct Smallest {
  template <class A>
  static constexpr A identity = std::is_floating_point_v<A> ? std::numeric_limits<A>::infinity()
                                                            : std::numeric_limits<A>::max();
  template <class A>
  CRIA_HOST_DEVICE CRIA_INLINE A operator()(A a, A b) const {
    const A smaller = of_numbers(a, b);
    return a != a ? a : smaller;
  }
  /// The smaller of two numbers; b if one of them is NaN.
  template <class A>
  CRIA_HOST_DEVICE CRIA_INLINE static A of_numbers(A a, A b) {
    return a < b ? a : b;
  }
};

}  // namespace cria::ops

namespace cria {

/// What a reduction to elements of Y computes in.
template <class Y>
using reduction_t = std::conditional_t<std::is_same_v<Y, bool>, std::uint32_t, acc_t<Y>>;

/// Whether R adds up numbers that are rounded, and what is lost may therefore pile up.
template <class R, class A>
inline constexpr bool sums_round = std::is_same_v<R, ops::Total>&& std::is_floating_point_v<A>;

}  // namespace cria
