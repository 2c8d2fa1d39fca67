#include "cria/core/math.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>

BOOST_AUTO_TEST_SUITE(core)
BOOST_AUTO_TEST_SUITE(math)

namespace {

/// Units in the last place between `got` and the exact value.
double error_in_units(float got, double want) {
  const auto rounded = static_cast<float>(want);
  const double unit = static_cast<double>(std::nextafter(rounded, std::numeric_limits<float>::infinity())) -
                      static_cast<double>(rounded);
  return std::abs(static_cast<double>(got) - want) / unit;
}

}  // namespace

BOOST_AUTO_TEST_CASE(exp_is_within_two_units_in_the_last_place) {
  double worst = 0;
  int different = 0;
  for (int i = -8733; i <= 8872; ++i) {
    for (int j = 0; j < 50; ++j) {
      const float x = (static_cast<float>(i) + static_cast<float>(j) / 50) / 100;
      if (x >= -87.33f && x <= 88.72f) {
        worst = std::max(worst, error_in_units(cria::math::exp(x), std::exp(static_cast<double>(x))));
      }
      if (x >= -87.33f && x <= 88) different += cria::math::exp_up_to_88(x) != cria::math::exp(x);
    }
  }
  BOOST_TEST(worst <= 2.0);
  BOOST_TEST(different == 0);
}

BOOST_AUTO_TEST_CASE(exp2_is_within_two_units_in_the_last_place) {
  double worst = 0;
  for (int i = -125 * 500; i <= 127 * 500; ++i) {
    const float x = static_cast<float>(i) / 500;
    worst = std::max(worst, error_in_units(cria::math::exp2_up_to_127(x), std::exp2(static_cast<double>(x))));
  }
  BOOST_TEST(worst <= 2.0);
  BOOST_TEST(cria::math::exp2_up_to_127(1.25) == std::exp2(1.25));
}

BOOST_AUTO_TEST_CASE(exp2_keeps_the_ends_of_the_range) {
  BOOST_TEST(cria::math::exp2_up_to_127(0.0f) == 1.0f);
  BOOST_TEST(cria::math::exp2_up_to_127(-0.0f) == 1.0f);
  BOOST_TEST(cria::math::exp2_up_to_127(127.0f) == 0x1p127f);
  BOOST_TEST(cria::math::exp2_up_to_127(-125.0f) == 0x1p-125f);
  BOOST_TEST(cria::math::exp2_up_to_127(-125.5f) == 0.0f);
  BOOST_TEST(cria::math::exp2_up_to_127(-1e30f) == 0.0f);
  BOOST_TEST(cria::math::exp2_up_to_127(-std::numeric_limits<float>::infinity()) == 0.0f);
  BOOST_TEST(std::isnan(cria::math::exp2_up_to_127(std::numeric_limits<float>::quiet_NaN())));
}

BOOST_AUTO_TEST_CASE(functions_are_within_a_few_units_in_the_last_place) {
  const auto check = [](const char* name, auto f, auto exact, float from, float to, double units) {
    double worst = 0;
    for (int i = 0; i <= 100'000; ++i) {
      const float x = from + (to - from) * static_cast<float>(i) / 100'000;
      for (const float at : {x, x * 0x1p-20f}) {
        if (at < from || at > to) continue;
        const double want = exact(static_cast<double>(at));
        if (want != 0 || f(at) != 0) worst = std::max(worst, error_in_units(f(at), want));
      }
    }
    BOOST_TEST(worst <= units, name << ": " << worst << " units");
  };
  namespace m = cria::math;
  check(
      "expm1", [](float x) { return m::expm1(x); }, [](double x) { return std::expm1(x); }, -87, 88.7f, 2);
  check(
      "expm1", [](float x) { return m::expm1(x); }, [](double x) { return std::expm1(x); }, -1, 1, 2);
  check(
      "log", [](float x) { return m::log(x); }, [](double x) { return std::log(x); }, 1e-30f, 3, 1);
  check(
      "log", [](float x) { return m::log(x); }, [](double x) { return std::log(x); }, 1e-40f, 3e38f, 1);
  check(
      "log1p", [](float x) { return m::log1p(x); }, [](double x) { return std::log1p(x); }, -0.9999f, 3, 2);
  check(
      "tanh", [](float x) { return m::tanh(x); }, [](double x) { return std::tanh(x); }, -12, 12, 3);
  check(
      "tanh", [](float x) { return m::tanh(x); }, [](double x) { return std::tanh(x); }, -1, 1, 3);
  check(
      "erf", [](float x) { return m::erf(x); }, [](double x) { return std::erf(x); }, -5, 5, 2);
  check(
      "erf", [](float x) { return m::erf(x); }, [](double x) { return std::erf(x); }, -1, 1, 2);
}

BOOST_AUTO_TEST_CASE(functions_keep_the_ends_of_the_range) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  namespace m = cria::math;
  BOOST_TEST(m::expm1(-infinity) == -1.0f);
  BOOST_TEST(m::expm1(infinity) == infinity);
  BOOST_TEST(m::expm1(1e30f) == infinity);
  BOOST_TEST(std::isfinite(m::expm1(88.7f)));
  BOOST_TEST(m::expm1(1e-40f) == 1e-40f);
  BOOST_TEST(m::log(0.0f) == -infinity);
  BOOST_TEST(m::log(-0.0f) == -infinity);
  BOOST_TEST(m::log(infinity) == infinity);
  BOOST_TEST(std::isnan(m::log(-1.0f)));
  BOOST_TEST(std::isnan(m::log(-infinity)));
  BOOST_TEST(m::log1p(-1.0f) == -infinity);
  BOOST_TEST(m::log1p(infinity) == infinity);
  BOOST_TEST(m::log1p(1e-40f) == 1e-40f);
  BOOST_TEST(std::isnan(m::log1p(-1.5f)));
  BOOST_TEST(m::tanh(infinity) == 1.0f);
  BOOST_TEST(m::tanh(-infinity) == -1.0f);
  BOOST_TEST(m::erf(infinity) == 1.0f);
  BOOST_TEST(m::erf(-infinity) == -1.0f);
  for (const float y : {m::expm1(nan), m::log(nan), m::log1p(nan), m::tanh(nan), m::erf(nan)})
    BOOST_TEST(std::isnan(y));
}

BOOST_AUTO_TEST_CASE(exp_of_tiny_numbers_is_one_and_a_bit) {
  BOOST_TEST(cria::math::exp(0.0f) == 1.0f);
  BOOST_TEST(cria::math::exp(-0.0f) == 1.0f);
  BOOST_TEST(cria::math::exp(1e-30f) == 1.0f);
  BOOST_TEST(cria::math::exp(0x1p-23f) == 1 + 0x1p-23f);
}

BOOST_AUTO_TEST_CASE(exp_keeps_the_ends_of_the_range) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  BOOST_TEST(cria::math::exp(-infinity) == 0.0f);
  BOOST_TEST(cria::math::exp(-1e30f) == 0.0f);
  BOOST_TEST(cria::math::exp_up_to_88(-infinity) == 0.0f);
  BOOST_TEST(cria::math::exp_up_to_88(-1e30f) == 0.0f);
  BOOST_TEST(std::isnan(cria::math::exp_up_to_88(std::numeric_limits<float>::quiet_NaN())));
  BOOST_TEST(cria::math::exp(-88.0f) == 0.0f);
  BOOST_TEST(cria::math::exp(-87.3f) > 0.0f);
  BOOST_TEST(std::isfinite(cria::math::exp(88.722f)));
  BOOST_TEST(cria::math::exp(88.73f) == infinity);
  BOOST_TEST(cria::math::exp(1e30f) == infinity);
  BOOST_TEST(cria::math::exp(infinity) == infinity);
  BOOST_TEST(std::isnan(cria::math::exp(std::numeric_limits<float>::quiet_NaN())));
}

BOOST_AUTO_TEST_CASE(exp_of_double_is_the_standard_librarys) {
  BOOST_TEST(cria::math::exp(1.25) == std::exp(1.25));
  BOOST_TEST(cria::math::exp_up_to_88(-1.25) == std::exp(-1.25));
  BOOST_TEST(cria::math::exp(-700.0) == std::exp(-700.0));
}

BOOST_AUTO_TEST_CASE(sigmoid_goes_from_zero_to_one) {
  BOOST_TEST(cria::math::sigmoid(0.0f) == 0.5f);
  BOOST_TEST(cria::math::sigmoid(-1000.0f) == 0.0f);
  BOOST_TEST(cria::math::sigmoid(1000.0f) == 1.0f);
  BOOST_TEST(cria::math::sigmoid(-1e30f) == 0.0f);
  BOOST_TEST(cria::math::sigmoid(-std::numeric_limits<float>::infinity()) == 0.0f);
  BOOST_TEST(std::isnan(cria::math::sigmoid(std::numeric_limits<float>::quiet_NaN())));
  for (int i = -870; i <= 870; ++i) {
    const float x = static_cast<float>(i) / 10;
    const double want = 1 / (1 + std::exp(-static_cast<double>(x)));
    BOOST_TEST(std::abs(static_cast<double>(cria::math::sigmoid(x)) - want) <= 4e-7 * want);
  }
  BOOST_TEST(std::abs(cria::math::sigmoid(1.0) - 0.7310585786300049) < 1e-15);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
