#pragma once
/// How a formula is computed: a functor whose templated call operator takes numbers of any kind, `auto` each.
/// Values of floating-point inputs come as dual numbers, integers and bool as they are.

#include <type_traits>
#include <utility>

#include "cria/core/dtype.hpp"
#include "cria/core/dual.hpp"

namespace cria::formula {

/// What a formula gets for an element whose derivatives are not wanted.
template <class X>
CRIA_HOST_DEVICE CRIA_INLINE auto number(X x) {
  if constexpr (FloatingPoint<X>) {
    return Dual<acc_t<X>, 0>(static_cast<acc_t<X>>(x));
  } else {
    return x;
  }
}

/// An element as input K of those that derivatives are wanted for.
template <int K, unsigned Inputs, class X>
CRIA_HOST_DEVICE CRIA_INLINE auto input(X x) {
  if constexpr (FloatingPoint<X>) {
    Dual<acc_t<X>, Inputs> dual(static_cast<acc_t<X>>(x));
    dual.set_derivatives([](auto k) { return acc_t<X>(decltype(k)::value == K); });
    return dual;
  } else {
    return x;
  }
}

namespace detail {
template <class F, int... K, class... X>
CRIA_HOST_DEVICE CRIA_INLINE auto differentiate(std::integer_sequence<int, K...>, const F& f, X... x) {
  if constexpr (std::is_invocable_v<const F&, decltype(input<K, 1u << K>(x))...>) {
    return f(input<K, 1u << K>(x)...);
  } else {  // all arguments are of one type
    constexpr unsigned all = (1u << sizeof...(X)) - 1;
    return f(input<K, all>(x)...);
  }
}
}  // namespace detail

/// f(x...) with its derivatives for all inputs.
template <class F, class... X>
CRIA_HOST_DEVICE CRIA_INLINE auto differentiate(const F& f, X... x) {
  return detail::differentiate(std::make_integer_sequence<int, static_cast<int>(sizeof...(X))>(), f, x...);
}

/// d result / d input K, of what `differentiate` gave.
template <int K, class A, class R>
CRIA_HOST_DEVICE CRIA_INLINE A derivative(const R& result) {
  if constexpr (cria::detail::is_dual<R>) {
    return result.template derivative<K>();
  } else {
    return A(0);
  }
}

/// A formula's result as an element of Y's accumulator.
template <class Y, class R>
CRIA_HOST_DEVICE CRIA_INLINE acc_t<Y> value(const R& result) {
  if constexpr (cria::detail::is_dual<R>) {
    return static_cast<acc_t<Y>>(result.value);
  } else {
    return static_cast<acc_t<Y>>(result);
  }
}

namespace detail {
/// The first floating-point type; void if there is none.
template <class... X>
struct first_floating {
  using type = void;
};
template <class X, class... Rest>
struct first_floating<X, Rest...> {
  using type = std::conditional_t<FloatingPoint<X>, X, typename first_floating<Rest...>::type>;
};
}  // namespace detail

/// The floating-point type of a formula's inputs; void if they have none.
template <class... X>
using floating_t = typename detail::first_floating<X...>::type;

/// The element type of what F makes of elements of these types: that of the floating-point inputs for a
/// floating-point number.
template <class F, class... X>
struct output {
  static_assert(std::is_invocable_v<const F&, decltype(number(std::declval<X>()))...>,
                "the formula cannot be called with these inputs: it is to take as many numbers, each by "
                "`auto`, and to use what "
                "core/dual.hpp declares");
  using R = std::invoke_result_t<const F&, decltype(number(std::declval<X>()))...>;
  using T = floating_t<X...>;
  static constexpr bool is_floating = cria::detail::is_dual<R> || std::is_floating_point_v<R>;
  using type = std::conditional_t<is_floating && !std::is_void_v<T>, T, R>;
};
template <class F, class... X>
using output_t = typename output<F, X...>::type;

}  // namespace cria::formula
