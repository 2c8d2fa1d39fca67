#pragma once
/// Dual numbers: a value together with its derivatives. A formula that is computed on them gives its own
/// derivatives (forward-mode differentiation: Wengert 1964). Of which inputs a number depends on is known
/// when compiling, so that a derivative that is zero costs nothing, and is zero where another one is
/// infinite.
///
/// Formulas for `map` use what is declared here, besides numbers and bool: + - * / and comparisons; where,
/// min, max, abs, square, sqrt, rsqrt, exp, expm1, log, log1p, sigmoid, tanh, erf, sin, cos, pow, floor,
/// ceil, round. Results that are not numbers (log(-1)) are NaN, and NaN stays NaN.

#include <bit>
#include <cmath>
#include <type_traits>
#include <utility>

#include "cria/core/config.hpp"
#include "cria/core/math.hpp"

namespace cria {

/// How many inputs a formula may have.
inline constexpr int most_inputs = 4;

namespace detail {
template <class A, int Count>
struct Derivatives {
  A at[Count];
};
template <class A>
struct Derivatives<A, 0> {};
}  // namespace detail

/// A number that depends on some of a formula's inputs, on input k if bit k of `Inputs` is set, and its
/// derivative for each of those. Dual<A, 0> is a number.
template <class A, unsigned Inputs>
struct Dual : detail::Derivatives<A, std::popcount(Inputs)> {
  using value_type = A;

  A value;

  /// A number that depends on nothing, or whose derivatives are set next.
  CRIA_HOST_DEVICE CRIA_INLINE constexpr explicit Dual(A x) : value(x) {}

  static constexpr bool is_constant = Inputs == 0;
  template <int K>
  static constexpr bool depends_on = (Inputs >> K & 1) != 0;

  /// d value / d input K
  template <int K>
  CRIA_HOST_DEVICE CRIA_INLINE constexpr A derivative() const {
    if constexpr (depends_on<K>) {
      return this->at[position<K>];
    } else {
      return A(0);
    }
  }
  /// Sets the derivative for each input K that the number depends on to of_input(K), K being an integral
  /// constant.
  CRIA_HOST_DEVICE CRIA_INLINE constexpr void set_derivatives(auto of_input) {
    set(of_input, std::make_integer_sequence<int, most_inputs>());
  }

 private:
  template <int K>
  static constexpr int position = std::popcount(Inputs&((1u << K) - 1));

  template <int... K>
  CRIA_HOST_DEVICE CRIA_INLINE constexpr void set(const auto& of_input, std::integer_sequence<int, K...>) {
    (set_one<K>(of_input), ...);
  }
  template <int K>
  CRIA_HOST_DEVICE CRIA_INLINE constexpr void set_one(const auto& of_input) {
    if constexpr (depends_on<K>) this->at[position<K>] = of_input(std::integral_constant<int, K>());
  }
};

namespace detail {

template <class X>
inline constexpr bool is_dual = false;
template <class A, unsigned I>
inline constexpr bool is_dual<Dual<A, I>> = true;

/// At least one dual number, others of its type or plain numbers.
template <class... X>
concept DualOperands = (is_dual<X> || ...) && ((is_dual<X> || std::is_arithmetic_v<X>)&&...);

template <class... X>
struct dual_value;
template <class A, unsigned I, class... X>
struct dual_value<Dual<A, I>, X...> {
  using type = A;
};
template <class S, class... X>
struct dual_value<S, X...> : dual_value<X...> {};

/// A number as a dual number of A.
template <class A, unsigned I>
CRIA_HOST_DEVICE CRIA_INLINE constexpr Dual<A, I> lift(const Dual<A, I>& x) {
  return x;
}
template <class A, class S>
requires std::is_arithmetic_v<S> CRIA_HOST_DEVICE CRIA_INLINE constexpr Dual<A, 0> lift(S x) {
  return Dual<A, 0>(static_cast<A>(x));
}

template <class X, class Y>
struct Operands {
  X x;
  Y y;
};
/// Both as dual numbers.
template <class X, class Y>
CRIA_HOST_DEVICE CRIA_INLINE constexpr auto operands(const X& x, const Y& y) {
  using A = typename dual_value<X, Y>::type;
  return Operands<decltype(lift<A>(x)), decltype(lift<A>(y))>{lift<A>(x), lift<A>(y)};
}

/// The chain rule: f(x, y) = value, whose derivatives for x and y are dx and dy.
template <class A, unsigned I, unsigned J>
CRIA_HOST_DEVICE CRIA_INLINE constexpr Dual<A, I | J> chain(A value, A dx, const Dual<A, I>& x, A dy,
                                                            const Dual<A, J>& y) {
  Dual<A, I | J> result(value);
  result.set_derivatives([&](auto input) {
    constexpr int k = decltype(input)::value;
    if constexpr (!Dual<A, J>::template depends_on<k>) {
      return dx * x.template derivative<k>();
    } else if constexpr (!Dual<A, I>::template depends_on<k>) {
      return dy * y.template derivative<k>();
    } else {
      return dx * x.template derivative<k>() + dy * y.template derivative<k>();
    }
  });
  return result;
}
template <class A, unsigned I>
CRIA_HOST_DEVICE CRIA_INLINE constexpr Dual<A, I> chain(A value, A dx, const Dual<A, I>& x) {
  return chain(value, dx, x, A(0), Dual<A, 0>(A(0)));
}

/// condition ? a : b
template <class A, unsigned I, unsigned J>
CRIA_HOST_DEVICE CRIA_INLINE constexpr auto select(bool condition, const Dual<A, I>& a, const Dual<A, J>& b) {
  Dual<A, I | J> result(condition ? a.value : b.value);
  result.set_derivatives([&](auto input) {
    constexpr int k = decltype(input)::value;
    return condition ? a.template derivative<k>() : b.template derivative<k>();
  });
  return result;
}

/// a if it is the `first` of the two in some order, else b; NaN if one is. Equal ones have half the
/// derivative each.
template <class A, unsigned I, unsigned J>
CRIA_HOST_DEVICE CRIA_INLINE constexpr auto extreme(bool first, const Dual<A, I>& a, const Dual<A, J>& b) {
  const A share = first ? A(1) : a.value == b.value ? A(0.5) : A(0);
  return chain(first || a.value != a.value ? a.value : b.value, share, a, 1 - share, b);
}

}  // namespace detail

template <class X, class Y>
requires detail::DualOperands<X, Y> CRIA_HOST_DEVICE CRIA_INLINE constexpr auto operator+(const X& x,
                                                                                          const Y& y) {
  const auto [a, b] = detail::operands(x, y);
  using A = decltype(a.value);
  return detail::chain(a.value + b.value, A(1), a, A(1), b);
}

template <class X, class Y>
requires detail::DualOperands<X, Y> CRIA_HOST_DEVICE CRIA_INLINE constexpr auto operator-(const X& x,
                                                                                          const Y& y) {
  const auto [a, b] = detail::operands(x, y);
  using A = decltype(a.value);
  return detail::chain(a.value - b.value, A(1), a, A(-1), b);
}

template <class X, class Y>
requires detail::DualOperands<X, Y> CRIA_HOST_DEVICE CRIA_INLINE constexpr auto operator*(const X& x,
                                                                                          const Y& y) {
  const auto [a, b] = detail::operands(x, y);
  return detail::chain(a.value * b.value, b.value, a, a.value, b);
}

template <class X, class Y>
requires detail::DualOperands<X, Y> CRIA_HOST_DEVICE CRIA_INLINE constexpr auto operator/(const X& x,
                                                                                          const Y& y) {
  const auto [a, b] = detail::operands(x, y);
  const auto inverse = 1 / b.value;  // one division: on a GPU it is a call
  const auto ratio = a.value / b.value;
  return detail::chain(ratio, inverse, a, -ratio * inverse, b);
}

template <class A, unsigned I>
CRIA_HOST_DEVICE CRIA_INLINE constexpr Dual<A, I> operator-(const Dual<A, I>& x) {
  return detail::chain(-x.value, A(-1), x);
}

template <class X, class Y>
requires detail::DualOperands<X, Y> CRIA_HOST_DEVICE CRIA_INLINE constexpr bool operator==(const X& x,
                                                                                           const Y& y) {
  const auto [a, b] = detail::operands(x, y);
  return a.value == b.value;
}

template <class X, class Y>
requires detail::DualOperands<X, Y> CRIA_HOST_DEVICE CRIA_INLINE constexpr bool operator<(const X& x,
                                                                                          const Y& y) {
  const auto [a, b] = detail::operands(x, y);
  return a.value < b.value;
}

template <class X, class Y>
requires detail::DualOperands<X, Y> CRIA_HOST_DEVICE CRIA_INLINE constexpr bool operator<=(const X& x,
                                                                                           const Y& y) {
  const auto [a, b] = detail::operands(x, y);
  return a.value <= b.value;
}

template <class X, class Y>
requires detail::DualOperands<X, Y> CRIA_HOST_DEVICE CRIA_INLINE constexpr bool operator>(const X& x,
                                                                                          const Y& y) {
  return y < x;
}

template <class X, class Y>
requires detail::DualOperands<X, Y> CRIA_HOST_DEVICE CRIA_INLINE constexpr bool operator>=(const X& x,
                                                                                           const Y& y) {
  return y <= x;
}

/// condition ? x : y, with the derivatives of the one that is taken.
template <class X, class Y>
requires detail::DualOperands<X, Y> CRIA_HOST_DEVICE CRIA_INLINE constexpr auto where(bool condition,
                                                                                      const X& x,
                                                                                      const Y& y) {
  const auto [a, b] = detail::operands(x, y);
  return detail::select(condition, a, b);
}

/// The greater, the smaller of two; NaN if one is. Equal ones have half the derivative each.
template <class X, class Y>
requires detail::DualOperands<X, Y> CRIA_HOST_DEVICE CRIA_INLINE constexpr auto max(const X& x, const Y& y) {
  const auto [a, b] = detail::operands(x, y);
  return detail::extreme(a.value > b.value, a, b);
}
template <class X, class Y>
requires detail::DualOperands<X, Y> CRIA_HOST_DEVICE CRIA_INLINE constexpr auto min(const X& x, const Y& y) {
  const auto [a, b] = detail::operands(x, y);
  return detail::extreme(a.value < b.value, a, b);
}

/// x^y. The derivatives are 0 where x is 0 and that of 0^y is not defined.
template <class X, class Y>
requires detail::DualOperands<X, Y> CRIA_HOST_DEVICE CRIA_INLINE auto pow(const X& x, const Y& y) {
  const auto [a, b] = detail::operands(x, y);
  using A = decltype(a.value);
  const A value = std::pow(a.value, b.value);
  A of_base = 0, of_exponent = 0;
  if constexpr (!std::remove_cvref_t<decltype(a)>::is_constant) {
    of_base = b.value == 0 ? A(0) : b.value * std::pow(a.value, b.value - 1);
  }
  if constexpr (!std::remove_cvref_t<decltype(b)>::is_constant) {
    of_exponent = a.value == 0 && b.value >= 0 ? A(0) : value * std::log(a.value);
  }
  return detail::chain(value, of_base, a, of_exponent, b);
}

/// |x|; the derivative at 0 is 0.
template <class A, unsigned I>
CRIA_HOST_DEVICE CRIA_INLINE constexpr Dual<A, I> abs(const Dual<A, I>& x) {
  using std::abs;
  return detail::chain(abs(x.value), x.value > 0 ? A(1) : x.value < 0 ? A(-1) : A(0), x);
}

/// x^2
template <class A, unsigned I>
CRIA_HOST_DEVICE CRIA_INLINE constexpr Dual<A, I> square(const Dual<A, I>& x) {
  return detail::chain(x.value * x.value, x.value + x.value, x);
}

/// The square root.
template <class A, unsigned I>
CRIA_HOST_DEVICE CRIA_INLINE Dual<A, I> sqrt(const Dual<A, I>& x) {
  const A y = std::sqrt(x.value);
  return detail::chain(y, A(0.5) / y, x);
}

/// 1 / sqrt(x)
template <class A, unsigned I>
CRIA_HOST_DEVICE CRIA_INLINE Dual<A, I> rsqrt(const Dual<A, I>& x) {
  const A y = 1 / std::sqrt(x.value);
  return detail::chain(y, A(-0.5) * y / x.value, x);
}

/// e^x
template <class A, unsigned I>
CRIA_HOST_DEVICE CRIA_INLINE Dual<A, I> exp(const Dual<A, I>& x) {
  const A y = math::exp(x.value);
  return detail::chain(y, y, x);
}

/// e^x - 1, also for small x.
template <class A, unsigned I>
CRIA_HOST_DEVICE CRIA_INLINE Dual<A, I> expm1(const Dual<A, I>& x) {
  const A y = math::expm1(x.value);
  return detail::chain(y, y + 1, x);
}

/// The natural logarithm.
template <class A, unsigned I>
CRIA_HOST_DEVICE CRIA_INLINE Dual<A, I> log(const Dual<A, I>& x) {
  return detail::chain(math::log(x.value), 1 / x.value, x);
}

/// log(1 + x), also for small x.
template <class A, unsigned I>
CRIA_HOST_DEVICE CRIA_INLINE Dual<A, I> log1p(const Dual<A, I>& x) {
  return detail::chain(math::log1p(x.value), 1 / (1 + x.value), x);
}

/// 1 / (1 + e^-x)
template <class A, unsigned I>
CRIA_HOST_DEVICE CRIA_INLINE Dual<A, I> sigmoid(const Dual<A, I>& x) {
  const A y = math::sigmoid(x.value);
  return detail::chain(y, y - y * y, x);
}

/// The hyperbolic tangent.
template <class A, unsigned I>
CRIA_HOST_DEVICE CRIA_INLINE Dual<A, I> tanh(const Dual<A, I>& x) {
  const A y = math::tanh(x.value);
  return detail::chain(y, 1 - y * y, x);
}

/// The error function, 2 / sqrt(pi) times the integral of e^-t^2 from 0 to x.
template <class A, unsigned I>
CRIA_HOST_DEVICE CRIA_INLINE Dual<A, I> erf(const Dual<A, I>& x) {
  const A scale = A(1.1283791670955126);  // 2 / sqrt(pi)
  return detail::chain(math::erf(x.value), scale * math::exp(-x.value * x.value), x);
}

/// The sine of radians.
template <class A, unsigned I>
CRIA_HOST_DEVICE CRIA_INLINE Dual<A, I> sin(const Dual<A, I>& x) {
  return detail::chain(A(std::sin(x.value)), A(std::cos(x.value)), x);
}

/// The cosine of radians.
template <class A, unsigned I>
CRIA_HOST_DEVICE CRIA_INLINE Dual<A, I> cos(const Dual<A, I>& x) {
  return detail::chain(A(std::cos(x.value)), A(-std::sin(x.value)), x);
}

/// The next integer below, above, or the nearest (the even one of two), whose derivatives are 0.
template <class A, unsigned I>
CRIA_HOST_DEVICE CRIA_INLINE Dual<A, 0> floor(const Dual<A, I>& x) {
  return Dual<A, 0>(std::floor(x.value));
}

template <class A, unsigned I>
CRIA_HOST_DEVICE CRIA_INLINE Dual<A, 0> ceil(const Dual<A, I>& x) {
  return Dual<A, 0>(std::ceil(x.value));
}

template <class A, unsigned I>
CRIA_HOST_DEVICE CRIA_INLINE Dual<A, 0> round(const Dual<A, I>& x) {
  return Dual<A, 0>(std::rint(x.value));
}

}  // namespace cria
