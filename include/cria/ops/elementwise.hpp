#pragma once
/// Operations on each element alone. A new one is a formula (core/formulas.hpp) and a function of one line;
/// every backend gets it. Shapes of several tensors are broadcast; who does not fit throws ShapeError.

#include <concepts>
#include <string>
#include <type_traits>
#include <utility>

#include "cria/core/check.hpp"
#include "cria/core/formulas.hpp"
#include "cria/ops/accumulate.hpp"
#include "cria/ops/map.hpp"
#include "cria/ops/refused.hpp"

namespace cria {

namespace detail {

/// A number beside a tensor of integers: an integer, too, since a fraction would be cut off. Throws
/// ConfigError for one that is no T.
template <std::integral T>
class Whole {
 public:
  template <std::integral N>
  Whole(N number) : number_(static_cast<T>(number)) {
    if (std::cmp_equal(number_, +number)) return;
    throw ConfigError("Tensor: the number " + std::to_string(number) + " stands beside elements of " +
                      std::string(dtype_name<T>) + "; it must be one of them");
  }
  operator T() const { return number_; }

 private:
  T number_;
};

template <class T>
struct Beside {
  using type = acc_t<T>;
};
template <class T>
requires(Number<T>&& std::integral<T>) struct Beside<T> {
  using type = Whole<T>;
};
/// A number beside a tensor of T.
template <class T>
using number_t = typename Beside<T>::type;

}  // namespace detail

/// a + b, a - b, a * b, also of integers, and a / b.
template <Number T, class B>
Tensor<T, B> operator+(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  if constexpr (FloatingPoint<T>) {
    if (a.shape() == b.shape()) {  // backward then needs no values, and no kernel
      using K = kernel_for<ops::Map, B>;
      auto y = Tensor<T, B>::empty(a.shape());
      K::forward(ops::Add{}, broadcast(a.shape(), std::array{a.shape(), b.shape()}), y.mutable_vec(), a.vec(),
                 b.vec());
      return detail::record_sum(y, a, b);
    }
  }
  return detail::map("add", ops::Add{}, a, b);
}
template <Number T, class B>
Tensor<T, B> operator-(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  return detail::map("subtract", ops::Subtract{}, a, b);
}
template <Number T, class B>
Tensor<T, B> operator*(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  return detail::map("multiply", ops::Multiply{}, a, b);
}
template <FloatingPoint T, class B>
Tensor<T, B> operator/(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  return detail::map("divide", ops::Divide{}, a, b);
}

/// The same with a number on one side, for integers an integer.
template <Number T, class B>
Tensor<T, B> operator+(const Tensor<T, B>& x, detail::number_t<T> s) {
  return detail::map("add", ops::Affine<acc_t<T>>{1, s}, x);
}
template <Number T, class B>
Tensor<T, B> operator+(detail::number_t<T> s, const Tensor<T, B>& x) {
  return x + s;
}
template <Number T, class B>
Tensor<T, B> operator-(const Tensor<T, B>& x, detail::number_t<T> s) {
  return detail::map("subtract", ops::Affine<acc_t<T>>{1, static_cast<acc_t<T>>(-static_cast<acc_t<T>>(s))},
                     x);
}
template <Number T, class B>
Tensor<T, B> operator-(detail::number_t<T> s, const Tensor<T, B>& x) {
  return detail::map("subtract", ops::Affine<acc_t<T>>{-1, s}, x);
}
template <Number T, class B>
Tensor<T, B> operator-(const Tensor<T, B>& x) {
  return detail::map("negate", ops::Affine<acc_t<T>>{-1, 0}, x);
}
template <Number T, class B>
Tensor<T, B> operator*(const Tensor<T, B>& x, detail::number_t<T> s) {
  return detail::map("multiply", ops::Affine<acc_t<T>>{s, 0}, x);
}
template <Number T, class B>
Tensor<T, B> operator*(detail::number_t<T> s, const Tensor<T, B>& x) {
  return x * s;
}
template <FloatingPoint T, class B>
Tensor<T, B> operator/(const Tensor<T, B>& x, std::type_identity_t<acc_t<T>> s) {
  return x * (acc_t<T>(1) / s);
}
template <FloatingPoint T, class B>
Tensor<T, B> operator/(std::type_identity_t<acc_t<T>> s, const Tensor<T, B>& x) {
  return detail::map("divide", ops::WithNumber<ops::Reciprocal, acc_t<T>>{s}, x);
}

/// |x|; the derivative at 0 is 0.
template <FloatingPoint T, class B>
Tensor<T, B> abs(const Tensor<T, B>& x) {
  return detail::map("abs", ops::Abs{}, x);
}
/// x^2
template <FloatingPoint T, class B>
Tensor<T, B> square(const Tensor<T, B>& x) {
  return detail::map("square", ops::Square{}, x);
}
/// The square root.
template <FloatingPoint T, class B>
Tensor<T, B> sqrt(const Tensor<T, B>& x) {
  return detail::map("sqrt", ops::Sqrt{}, x);
}
/// 1 / sqrt(x)
template <FloatingPoint T, class B>
Tensor<T, B> rsqrt(const Tensor<T, B>& x) {
  return detail::map("rsqrt", ops::Rsqrt{}, x);
}
/// e^x
template <FloatingPoint T, class B>
Tensor<T, B> exp(const Tensor<T, B>& x) {
  return detail::map("exp", ops::Exp{}, x);
}
/// e^x - 1, also for small x.
template <FloatingPoint T, class B>
Tensor<T, B> expm1(const Tensor<T, B>& x) {
  return detail::map("expm1", ops::Expm1{}, x);
}
/// The natural logarithm.
template <FloatingPoint T, class B>
Tensor<T, B> log(const Tensor<T, B>& x) {
  return detail::map("log", ops::Log{}, x);
}
/// log(1 + x), also for small x.
template <FloatingPoint T, class B>
Tensor<T, B> log1p(const Tensor<T, B>& x) {
  return detail::map("log1p", ops::Log1p{}, x);
}
/// 1 / (1 + e^-x)
template <FloatingPoint T, class B>
Tensor<T, B> sigmoid(const Tensor<T, B>& x) {
  return detail::map("sigmoid", ops::Sigmoid{}, x);
}
/// The hyperbolic tangent.
template <FloatingPoint T, class B>
Tensor<T, B> tanh(const Tensor<T, B>& x) {
  return detail::map("tanh", ops::Tanh{}, x);
}
/// The error function.
template <FloatingPoint T, class B>
Tensor<T, B> erf(const Tensor<T, B>& x) {
  return detail::map("erf", ops::Erf{}, x);
}
/// The sine of radians.
template <FloatingPoint T, class B>
Tensor<T, B> sin(const Tensor<T, B>& x) {
  return detail::map("sin", ops::Sin{}, x);
}
/// The cosine of radians.
template <FloatingPoint T, class B>
Tensor<T, B> cos(const Tensor<T, B>& x) {
  return detail::map("cos", ops::Cos{}, x);
}
/// The next integer below; its derivative is 0.
template <FloatingPoint T, class B>
Tensor<T, B> floor(const Tensor<T, B>& x) {
  return detail::map("floor", ops::Floor{}, x);
}
/// The next integer above; its derivative is 0.
template <FloatingPoint T, class B>
Tensor<T, B> ceil(const Tensor<T, B>& x) {
  return detail::map("ceil", ops::Ceil{}, x);
}
/// The nearest integer, the even one of two; its derivative is 0.
template <FloatingPoint T, class B>
Tensor<T, B> round(const Tensor<T, B>& x) {
  return detail::map("round", ops::Round{}, x);
}
/// max(x, 0); NaN for NaN.
template <FloatingPoint T, class B>
Tensor<T, B> relu(const Tensor<T, B>& x) {
  return detail::map("relu", ops::Relu{}, x);
}
/// x, times `slope` where it is negative. Maas, Hannun, Ng 2013.
template <FloatingPoint T, class B>
Tensor<T, B> leaky_relu(const Tensor<T, B>& x, std::type_identity_t<acc_t<T>> slope = acc_t<T>(0.01)) {
  return detail::map("leaky_relu", ops::WithNumber<ops::LeakyRelu, acc_t<T>>{slope}, x);
}
/// x, or alpha * (e^x - 1) where it is negative. Clevert, Unterthiner, Hochreiter 2015.
template <FloatingPoint T, class B>
Tensor<T, B> elu(const Tensor<T, B>& x, std::type_identity_t<acc_t<T>> alpha = 1) {
  return detail::map("elu", ops::WithNumber<ops::Elu, acc_t<T>>{alpha}, x);
}
/// x / (1 + e^-x). Elfwing, Uchibe, Doya 2017.
template <FloatingPoint T, class B>
Tensor<T, B> silu(const Tensor<T, B>& x) {
  return detail::map("silu", ops::Silu{}, x);
}
/// x times the normal distribution function of x. Hendrycks, Gimpel 2016.
template <FloatingPoint T, class B>
Tensor<T, B> gelu(const Tensor<T, B>& x) {
  return detail::map("gelu", ops::Gelu{}, x);
}
/// gelu's approximation by tanh, as in GPT-2.
template <FloatingPoint T, class B>
Tensor<T, B> gelu_tanh(const Tensor<T, B>& x) {
  return detail::map("gelu_tanh", ops::GeluTanh{}, x);
}
/// log(1 + e^x). Dugas et al. 2001.
template <FloatingPoint T, class B>
Tensor<T, B> softplus(const Tensor<T, B>& x) {
  return detail::map("softplus", ops::Softplus{}, x);
}
/// x, not below `low` and not above `high`, where the derivative is 0. Throws ConfigError if low is greater
/// than high.
template <Number T, class B>
Tensor<T, B> clamp(const Tensor<T, B>& x, detail::number_t<T> low, detail::number_t<T> high) {
  const ops::Clamp<acc_t<T>> between{low, high};
  check::option(between.low <= between.high, "clamp", "low", between.low,
                "it must be at most high = " + std::to_string(between.high));
  return detail::map("clamp", between, x);
}
/// x^exponent
template <FloatingPoint T, class B>
Tensor<T, B> pow(const Tensor<T, B>& x, std::type_identity_t<acc_t<T>> exponent) {
  return detail::map("pow", ops::WithNumber<ops::Power, acc_t<T>>{exponent}, x);
}
/// x^exponent. Its derivatives are 0 where x is 0 and they are not defined.
template <FloatingPoint T, class B>
Tensor<T, B> pow(const Tensor<T, B>& x, const Tensor<T, B>& exponent) {
  return detail::map("pow", ops::Power{}, x, exponent);
}
/// The greater, the smaller of two; NaN if one is. Equal ones have half the derivative each.
template <Number T, class B>
Tensor<T, B> maximum(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  return detail::map("maximum", ops::Maximum{}, a, b);
}
template <Number T, class B>
Tensor<T, B> minimum(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  return detail::map("minimum", ops::Minimum{}, a, b);
}
template <Number T, class B>
Tensor<T, B> maximum(const Tensor<T, B>& x, detail::number_t<T> number) {
  return detail::map("maximum", ops::WithNumber<ops::Maximum, acc_t<T>>{number}, x);
}
template <Number T, class B>
Tensor<T, B> minimum(const Tensor<T, B>& x, detail::number_t<T> number) {
  return detail::map("minimum", ops::WithNumber<ops::Minimum, acc_t<T>>{number}, x);
}
/// silu(gate) * up. Shazeer 2020.
template <FloatingPoint T, class B>
Tensor<T, B> swiglu(const Tensor<T, B>& gate, const Tensor<T, B>& up) {
  return detail::map("swiglu", ops::SwiGlu{}, gate, up);
}
/// a + weight * (b - a)
template <FloatingPoint T, class B>
Tensor<T, B> lerp(const Tensor<T, B>& a, const Tensor<T, B>& b, const Tensor<T, B>& weight) {
  return detail::map("lerp", ops::Lerp{}, a, b, weight);
}
/// a where the condition holds, b elsewhere; also of integers and masks.
template <class T, class B>
Tensor<T, B> where(const Tensor<bool, B>& condition, const Tensor<T, B>& a, const Tensor<T, B>& b) {
  return detail::map("where", ops::Where{}, condition, a, b);
}

/// x with `value` where the mask holds.
template <class T, class B>
Tensor<T, B> masked_fill(const Tensor<T, B>& x, const Tensor<bool, B>& mask, detail::number_t<T> value) {
  return detail::map("masked_fill", ops::FillWhere<acc_t<T>>{value}, mask, x);
}
/// The same with a number on one side.
template <class T, class B>
Tensor<T, B> where(const Tensor<bool, B>& condition, detail::number_t<T> a, const Tensor<T, B>& b) {
  return masked_fill(b, condition, a);
}
template <class T, class B>
Tensor<T, B> where(const Tensor<bool, B>& condition, const Tensor<T, B>& a, detail::number_t<T> b) {
  return masked_fill(a, !condition, b);
}

/// Which elements are equal, not equal, less, ...; NaN is not equal to anything. A number beside
/// integers is an integer.
template <class T, class B>
Tensor<bool, B> operator==(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  return detail::map("equal", ops::Equal{}, a, b);
}
template <class T, class B>
Tensor<bool, B> operator!=(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  return detail::map("not_equal", ops::NotEqual{}, a, b);
}
template <class T, class B>
Tensor<bool, B> operator<(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  return detail::map("less", ops::Less{}, a, b);
}
template <class T, class B>
Tensor<bool, B> operator<=(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  return detail::map("less_equal", ops::LessEqual{}, a, b);
}
template <class T, class B>
Tensor<bool, B> operator>(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  return detail::map("greater", ops::Greater{}, a, b);
}
template <class T, class B>
Tensor<bool, B> operator>=(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  return detail::map("greater_equal", ops::GreaterEqual{}, a, b);
}
template <class T, class B>
Tensor<bool, B> operator==(const Tensor<T, B>& x, detail::number_t<T> number) {
  return detail::map("equal", ops::WithNumber<ops::Equal, acc_t<T>>{number}, x);
}
template <class T, class B>
Tensor<bool, B> operator!=(const Tensor<T, B>& x, detail::number_t<T> number) {
  return detail::map("not_equal", ops::WithNumber<ops::NotEqual, acc_t<T>>{number}, x);
}
template <class T, class B>
Tensor<bool, B> operator<(const Tensor<T, B>& x, detail::number_t<T> number) {
  return detail::map("less", ops::WithNumber<ops::Less, acc_t<T>>{number}, x);
}
template <class T, class B>
Tensor<bool, B> operator<=(const Tensor<T, B>& x, detail::number_t<T> number) {
  return detail::map("less_equal", ops::WithNumber<ops::LessEqual, acc_t<T>>{number}, x);
}
template <class T, class B>
Tensor<bool, B> operator>(const Tensor<T, B>& x, detail::number_t<T> number) {
  return detail::map("greater", ops::WithNumber<ops::Greater, acc_t<T>>{number}, x);
}
template <class T, class B>
Tensor<bool, B> operator>=(const Tensor<T, B>& x, detail::number_t<T> number) {
  return detail::map("greater_equal", ops::WithNumber<ops::GreaterEqual, acc_t<T>>{number}, x);
}
/// Of masks.
template <class B>
Tensor<bool, B> operator!(const Tensor<bool, B>& x) {
  return detail::map("not", ops::Not{}, x);
}
template <class B>
Tensor<bool, B> operator&&(const Tensor<bool, B>& a, const Tensor<bool, B>& b) {
  return detail::map("and", ops::And{}, a, b);
}
template <class B>
Tensor<bool, B> operator||(const Tensor<bool, B>& a, const Tensor<bool, B>& b) {
  return detail::map("or", ops::Or{}, a, b);
}

// What does not fit gets a sentence (ops/refused.hpp).
CRIA_REFUSE_MIXED(operator+, T)
CRIA_REFUSE_MIXED(operator-, T)
CRIA_REFUSE_MIXED(operator*, T)
CRIA_REFUSE_MIXED(operator/, T)
CRIA_REFUSE_MIXED(maximum, T)
CRIA_REFUSE_MIXED(minimum, T)
CRIA_REFUSE_MIXED(swiglu, T)
CRIA_REFUSE_MIXED(operator==, bool)
CRIA_REFUSE_MIXED(operator!=, bool)
CRIA_REFUSE_MIXED(operator<, bool)
CRIA_REFUSE_MIXED(operator<=, bool)
CRIA_REFUSE_MIXED(operator>, bool)
CRIA_REFUSE_MIXED(operator>=, bool)
CRIA_REFUSE_NUMBER(operator+)
CRIA_REFUSE_NUMBER(operator-)
CRIA_REFUSE_NUMBER(operator*)
CRIA_REFUSE_INTEGERS(abs)
CRIA_REFUSE_INTEGERS(square)
CRIA_REFUSE_INTEGERS(sqrt)
CRIA_REFUSE_INTEGERS(rsqrt)
CRIA_REFUSE_INTEGERS(exp)
CRIA_REFUSE_INTEGERS(expm1)
CRIA_REFUSE_INTEGERS(log)
CRIA_REFUSE_INTEGERS(log1p)
CRIA_REFUSE_INTEGERS(sigmoid)
CRIA_REFUSE_INTEGERS(tanh)
CRIA_REFUSE_INTEGERS(erf)
CRIA_REFUSE_INTEGERS(sin)
CRIA_REFUSE_INTEGERS(cos)
CRIA_REFUSE_INTEGERS(floor)
CRIA_REFUSE_INTEGERS(ceil)
CRIA_REFUSE_INTEGERS(round)
CRIA_REFUSE_INTEGERS(relu)
CRIA_REFUSE_INTEGERS(leaky_relu)
CRIA_REFUSE_INTEGERS(elu)
CRIA_REFUSE_INTEGERS(silu)
CRIA_REFUSE_INTEGERS(gelu)
CRIA_REFUSE_INTEGERS(gelu_tanh)
CRIA_REFUSE_INTEGERS(softplus)
CRIA_REFUSE_INTEGERS(pow)
/// Of a quotient of integers.
template <std::integral T, class B, class Y>
requires(std::is_arithmetic_v<Y> || std::is_same_v<Y, Tensor<T, B>>) Tensor<float, B>
operator/(const Tensor<T, B>&, const Y&) {
  detail::refuse_integers<T>();
  return {};
}
template <std::integral T, class B, class X>
requires std::is_arithmetic_v<X> Tensor<float, B>
operator/(X, const Tensor<T, B>&) {
  detail::refuse_integers<T>();
  return {};
}

}  // namespace cria
