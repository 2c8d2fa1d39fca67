#pragma once
/// The formulas of operations on each element alone, which core/dual.hpp differentiates.

#include <limits>
#include <type_traits>

#include "cria/core/config.hpp"
#include "cria/core/dtype.hpp"
#include "cria/core/dual.hpp"

/// A formula for `map` that every backend can compute, as a struct:
/// CRIA_FORMULA(Scale, (auto x, auto a), a * tanh(x)) and then map(Scale{}, x, a).
#define CRIA_FORMULA(Name, parameters, ...) \
  struct Name { \
    CRIA_HOST_DEVICE CRIA_INLINE auto operator() parameters const { return __VA_ARGS__; } \
  };

namespace cria::ops {

CRIA_FORMULA(Add, (auto a, auto b), a + b)
CRIA_FORMULA(Subtract, (auto a, auto b), a - b)
CRIA_FORMULA(Multiply, (auto a, auto b), a* b)
CRIA_FORMULA(Divide, (auto a, auto b), a / b)
CRIA_FORMULA(Power, (auto x, auto exponent), pow(x, exponent))
CRIA_FORMULA(Lerp, (auto a, auto b, auto weight), a + weight * (b - a))
CRIA_FORMULA(SwiGlu, (auto gate, auto up), gate* sigmoid(gate) * up)

// Also of integers, and the last of masks.
struct Maximum {
  template <class X, class Y>
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(X a, Y b) const {
    if constexpr (std::is_integral_v<X>) {
      return a > b ? a : b;
    } else {
      return max(a, b);
    }
  }
};
struct Minimum {
  template <class X, class Y>
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(X a, Y b) const {
    if constexpr (std::is_integral_v<X>) {
      return a < b ? a : b;
    } else {
      return min(a, b);
    }
  }
};
struct Where {
  template <class X, class Y>
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(bool condition, X a, Y b) const {
    if constexpr (std::is_integral_v<X> && std::is_integral_v<Y>) {
      return condition ? a : b;
    } else {
      return where(condition, a, b);
    }
  }
};

CRIA_FORMULA(Equal, (auto a, auto b), a == b)
CRIA_FORMULA(NotEqual, (auto a, auto b), a != b)
CRIA_FORMULA(Less, (auto a, auto b), a < b)
CRIA_FORMULA(LessEqual, (auto a, auto b), a <= b)
CRIA_FORMULA(Greater, (auto a, auto b), a > b)
CRIA_FORMULA(GreaterEqual, (auto a, auto b), a >= b)
CRIA_FORMULA(Not, (auto x), !x)
CRIA_FORMULA(And, (auto a, auto b), a&& b)
CRIA_FORMULA(Or, (auto a, auto b), a || b)

/// F of x and a number: WithNumber<Less, float>{2}.
template <class F, class S>
struct WithNumber {
  S number;
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(auto x) const { return F{}(x, number); }
};
CRIA_FORMULA(Reciprocal, (auto x, auto numerator), numerator / x)
CRIA_FORMULA(LeakyRelu, (auto x, auto slope), where(x <= 0, slope* x, x))
CRIA_FORMULA(Elu, (auto x, auto alpha), where(x <= 0, alpha* expm1(x), x))

/// factor * x + term
template <class S>
struct Affine {
  S factor;
  S term;
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(auto x) const { return factor * x + term; }
};
/// Between low and high; NaN for NaN.
template <class S>
struct Clamp {
  S low;
  S high;
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(auto x) const {
    return Where{}(x < low, low, Where{}(x > high, high, x));
  }
};
/// `value` where the mask holds.
template <class S>
struct FillWhere {
  S value;
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(bool mask, auto x) const { return Where{}(mask, value, x); }
};
/// An element as To. What is too large for an integer becomes its largest or smallest, NaN becomes 0; bool is
/// whether it is not 0.
template <class To>
struct Convert {
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(auto x) const {
    if constexpr (detail::is_dual<decltype(x)>) {
      return of(x.value);
    } else {
      return of(x);
    }
  }

 private:
  template <class N>
  CRIA_HOST_DEVICE CRIA_INLINE static acc_t<To> of(N x) {
    if constexpr (std::is_same_v<To, bool>) {
      return x != N(0);
    } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<N>) {
      constexpr To least = std::numeric_limits<To>::lowest(), most = std::numeric_limits<To>::max();
      if (x != x) return 0;
      return x <= static_cast<N>(least) ? least : x >= static_cast<N>(most) ? most : static_cast<To>(x);
    } else {
      return static_cast<acc_t<To>>(x);
    }
  }
};

CRIA_FORMULA(Identity, (auto x), x)
CRIA_FORMULA(Abs, (auto x), abs(x))
CRIA_FORMULA(Square, (auto x), square(x))
CRIA_FORMULA(Sqrt, (auto x), sqrt(x))
CRIA_FORMULA(Rsqrt, (auto x), rsqrt(x))
CRIA_FORMULA(Exp, (auto x), exp(x))
CRIA_FORMULA(Expm1, (auto x), expm1(x))
CRIA_FORMULA(Log, (auto x), log(x))
CRIA_FORMULA(Log1p, (auto x), log1p(x))
CRIA_FORMULA(Sigmoid, (auto x), sigmoid(x))
CRIA_FORMULA(Tanh, (auto x), tanh(x))
CRIA_FORMULA(Erf, (auto x), erf(x))
CRIA_FORMULA(Sin, (auto x), sin(x))
CRIA_FORMULA(Cos, (auto x), cos(x))
CRIA_FORMULA(Floor, (auto x), floor(x))
CRIA_FORMULA(Ceil, (auto x), ceil(x))
CRIA_FORMULA(Round, (auto x), round(x))
CRIA_FORMULA(Relu, (auto x), where(x <= 0, 0, x))
CRIA_FORMULA(Silu, (auto x), x* sigmoid(x))
CRIA_FORMULA(Gelu, (auto x), 0.5 * x * (1 + erf(0.7071067811865476 * x)))
CRIA_FORMULA(GeluTanh, (auto x), 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * square(x)))))
CRIA_FORMULA(Softplus, (auto x), where(x > 0, x + log1p(exp(-x)), log1p(exp(x))))

}  // namespace cria::ops
