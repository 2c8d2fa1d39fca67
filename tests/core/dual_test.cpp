#include "cria/core/dual.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <string>

#include "cria/core/formula.hpp"
#include "cria/core/formulas.hpp"
#include "support/compare.hpp"

BOOST_AUTO_TEST_SUITE(core)
BOOST_AUTO_TEST_SUITE(dual)

namespace {

using namespace cria;
using cria::test::check_close;

constexpr double infinity = std::numeric_limits<double>::infinity();
const double nan = std::nan("");

/// f and its derivative at some places: the value is that of `reference` in double and in float, the
/// derivative that of its differences, and NaN stays NaN.
template <class F, class Reference>
void check(const std::string& name, F f, Reference reference, std::initializer_list<double> places) {
  for (const double x : places) {
    const auto at = name + " at " + std::to_string(x);
    const auto y = formula::differentiate(f, x);
    check_close(at, {formula::value<double>(y)}, {reference(x)}, 1e-14);
    constexpr double step = 1e-6;
    const double slope = (reference(x + step) - reference(x - step)) / (2 * step);
    const double derivative = formula::derivative<0, double>(y);
    check_close(at + ", derivative", {derivative}, {slope}, 1e-8);
    const auto in_float = formula::differentiate(f, static_cast<float>(x));
    const double want = reference(static_cast<double>(static_cast<float>(x)));
    check_close(at + ", float32", {static_cast<double>(formula::value<float>(in_float))}, {want}, 1e-6);
    check_close(at + ", float32, derivative", {static_cast<double>(formula::derivative<0, float>(in_float))},
                {derivative}, 2e-6);
  }
  BOOST_TEST(std::isnan(formula::value<double>(f(formula::number(nan)))), name);
  BOOST_TEST(std::isnan(formula::value<float>(f(formula::number(std::nanf(""))))), name);
}

/// `number` beside x.
template <class X>
auto beside(X, double number) {
  return Dual<typename X::value_type, 0>(static_cast<typename X::value_type>(number));
}

/// The same for f of two numbers.
template <class F, class Reference>
void check_two(const std::string& name, F f, Reference reference,
               std::initializer_list<std::pair<double, double>> places) {
  for (const auto& place : places) {
    const double a = place.first, b = place.second;
    check(
        name + " of a", [f, b](auto x) { return f(x, beside(x, b)); },
        [&](double x) { return reference(x, b); }, {a});
    check(
        name + " of b", [f, a](auto x) { return f(beside(x, a), x); },
        [&](double x) { return reference(a, x); }, {b});
    const auto y = formula::differentiate(f, a, b);
    const auto of_a = formula::differentiate([f, b](auto x) { return f(x, beside(x, b)); }, a);
    const auto of_b = formula::differentiate([f, a](auto x) { return f(beside(x, a), x); }, b);
    BOOST_TEST((formula::derivative<0, double>(y)) == (formula::derivative<0, double>(of_a)), name);
    BOOST_TEST((formula::derivative<1, double>(y)) == (formula::derivative<0, double>(of_b)), name);
  }
}

struct Product {
  template <class X>
  X operator()(X a, X b, X c) const {
    return a * b * c;
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(functions_have_their_values_and_derivatives) {
  const auto somewhere = {-2.5, -1.0, -0.3, 0.1, 0.7, 1.9};
  const auto positive = {0.01, 0.3, 1.0, 2.7, 40.0};
  check(
      "negative", [](auto x) { return -x; }, [](double x) { return -x; }, somewhere);
  check(
      "abs", cria::ops::Abs{}, [](double x) { return std::abs(x); }, somewhere);
  check(
      "square", cria::ops::Square{}, [](double x) { return x * x; }, somewhere);
  check(
      "sqrt", cria::ops::Sqrt{}, [](double x) { return std::sqrt(x); }, positive);
  check("rsqrt", cria::ops::Rsqrt{}, [](double x) { return 1 / std::sqrt(x); }, {0.3, 1.0, 2.7, 40.0});
  check(
      "exp", cria::ops::Exp{}, [](double x) { return std::exp(x); }, somewhere);
  check(
      "expm1", cria::ops::Expm1{}, [](double x) { return std::expm1(x); }, somewhere);
  check(
      "log", cria::ops::Log{}, [](double x) { return std::log(x); }, positive);
  check("log1p", cria::ops::Log1p{}, [](double x) { return std::log1p(x); }, {-0.9, -0.3, 1e-9, 0.5, 4.0});
  check(
      "sigmoid", cria::ops::Sigmoid{}, [](double x) { return 1 / (1 + std::exp(-x)); }, somewhere);
  check(
      "tanh", cria::ops::Tanh{}, [](double x) { return std::tanh(x); }, somewhere);
  check(
      "erf", cria::ops::Erf{}, [](double x) { return std::erf(x); }, somewhere);
  check(
      "sin", cria::ops::Sin{}, [](double x) { return std::sin(x); }, somewhere);
  check(
      "cos", cria::ops::Cos{}, [](double x) { return std::cos(x); }, somewhere);
  check("floor", cria::ops::Floor{}, [](double x) { return std::floor(x); }, {-1.5, 0.3, 2.9});
  check("ceil", cria::ops::Ceil{}, [](double x) { return std::ceil(x); }, {-1.5, 0.3, 2.9});
  check("round", cria::ops::Round{}, [](double x) { return std::nearbyint(x); }, {-1.6, 0.3, 2.9});
  check(
      "reciprocal", cria::ops::WithNumber<cria::ops::Reciprocal, double>{3}, [](double x) { return 3 / x; },
      somewhere);
  check(
      "affine", cria::ops::Affine<double>{3, 2}, [](double x) { return 3 * x + 2; }, somewhere);
  check(
      "power of", cria::ops::WithNumber<cria::ops::Power, double>{3}, [](double x) { return x * x * x; },
      somewhere);
  check(
      "relu", cria::ops::Relu{}, [](double x) { return std::max(x, 0.0); }, somewhere);
  check(
      "leaky_relu", cria::ops::WithNumber<cria::ops::LeakyRelu, double>{0.1},
      [](double x) { return x < 0 ? 0.1 * x : x; }, somewhere);
  check(
      "elu", cria::ops::WithNumber<cria::ops::Elu, double>{2},
      [](double x) { return x < 0 ? 2 * std::expm1(x) : x; }, somewhere);
  check(
      "silu", cria::ops::Silu{}, [](double x) { return x / (1 + std::exp(-x)); }, somewhere);
  check(
      "gelu", cria::ops::Gelu{}, [](double x) { return x * 0.5 * std::erfc(-x / std::sqrt(2.0)); },
      somewhere);
  check(
      "gelu_tanh", cria::ops::GeluTanh{},
      [](double x) {
        return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * std::pow(x, 3))));
      },
      somewhere);
  check("softplus", cria::ops::Softplus{}, [](double x) { return std::log1p(std::exp(x)); },
        {-30.0, -1.0, 0.0, 3.0, 19.0, 25.0});
  check("clamp", cria::ops::Clamp<double>{-1, 1}, [](double x) { return std::min(std::max(x, -1.0), 1.0); },
        {-2.5, -0.3, 0.7, 1.9});
}

BOOST_AUTO_TEST_CASE(functions_of_two_have_both_derivatives) {
  const auto places = {std::pair{0.7, 1.3}, {2.5, -0.4}, {1.1, 3.0}};
  check_two(
      "add", cria::ops::Add{}, [](double a, double b) { return a + b; }, places);
  check_two(
      "subtract", cria::ops::Subtract{}, [](double a, double b) { return a - b; }, places);
  check_two(
      "multiply", cria::ops::Multiply{}, [](double a, double b) { return a * b; }, places);
  check_two(
      "divide", cria::ops::Divide{}, [](double a, double b) { return a / b; }, places);
  check_two(
      "pow", cria::ops::Power{}, [](double a, double b) { return std::pow(a, b); }, places);
  check_two(
      "maximum", cria::ops::Maximum{}, [](double a, double b) { return std::max(a, b); }, places);
  check_two(
      "minimum", cria::ops::Minimum{}, [](double a, double b) { return std::min(a, b); }, places);
  check_two(
      "swiglu", cria::ops::SwiGlu{}, [](double a, double b) { return a / (1 + std::exp(-a)) * b; }, places);
}

BOOST_AUTO_TEST_CASE(what_an_input_is_not_in_has_no_part_in_its_derivative) {
  // The derivative of log is infinite at 0, and zero times infinity would be NaN.
  const auto y = formula::differentiate([](auto a, auto b) { return log(a) + 2 * b; }, 0.0, 3.0);
  BOOST_TEST((formula::derivative<0, double>(y)) == infinity);
  BOOST_TEST((formula::derivative<1, double>(y)) == 2.0);
  const auto chosen =
      formula::differentiate([](auto a, auto b) { return where(a > 1, sqrt(a), b); }, 0.0, 3.0);
  BOOST_TEST((formula::derivative<0, double>(chosen)) == 0.0);
  BOOST_TEST((formula::derivative<1, double>(chosen)) == 1.0);
}

BOOST_AUTO_TEST_CASE(equal_ones_share_the_derivative) {
  for (const auto& y : {formula::differentiate(cria::ops::Maximum{}, 2.0, 2.0),
                        formula::differentiate(cria::ops::Minimum{}, 2.0, 2.0)}) {
    BOOST_TEST((formula::derivative<0, double>(y)) == 0.5);
    BOOST_TEST((formula::derivative<1, double>(y)) == 0.5);
  }
}

BOOST_AUTO_TEST_CASE(the_greater_of_nan_and_a_number_is_nan) {
  for (const auto& [a, b] : {std::pair{nan, 1.0}, {1.0, nan}}) {
    BOOST_TEST(std::isnan(formula::differentiate(cria::ops::Maximum{}, a, b).value));
    BOOST_TEST(std::isnan(formula::differentiate(cria::ops::Minimum{}, a, b).value));
  }
}

BOOST_AUTO_TEST_CASE(powers_of_zero_have_finite_derivatives) {
  const auto y = formula::differentiate(cria::ops::Power{}, 0.0, 0.0);
  BOOST_TEST(y.value == 1.0);
  BOOST_TEST((formula::derivative<0, double>(y)) == 0.0);
  BOOST_TEST((formula::derivative<1, double>(y)) == 0.0);
}

BOOST_AUTO_TEST_CASE(a_formula_may_ask_for_numbers_of_one_type) {
  const auto y = formula::differentiate(Product{}, 2.0, 3.0, 5.0);
  BOOST_TEST((formula::derivative<0, double>(y)) == 15.0);
  BOOST_TEST((formula::derivative<1, double>(y)) == 10.0);
  BOOST_TEST((formula::derivative<2, double>(y)) == 6.0);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
