#include "cria/core/dtype.hpp"

#include <bit>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <sstream>
#include <string>
#include <type_traits>

#include "support/golden.hpp"

BOOST_AUTO_TEST_SUITE(core)
BOOST_AUTO_TEST_SUITE(dtype)

namespace {

using cria::bfloat16;
using cria::float16;

/// The value of IEEE 754 fields, by arithmetic.
double decode(unsigned bits, int exponent_bits, int fraction_bits) {
  const unsigned fraction = bits & ((1u << fraction_bits) - 1);
  const int exponent = static_cast<int>(bits >> fraction_bits & ((1u << exponent_bits) - 1));
  const int bias = (1 << (exponent_bits - 1)) - 1;
  double magnitude = 0;
  if (exponent == (1 << exponent_bits) - 1) {
    magnitude = fraction ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
  } else if (exponent == 0) {
    magnitude = std::ldexp(fraction, 1 - bias - fraction_bits);
  } else {
    magnitude = std::ldexp(fraction + (1u << fraction_bits), exponent - bias - fraction_bits);
  }
  return bits >> (exponent_bits + fraction_bits) ? -magnitude : magnitude;
}

/// How many of the 65,536 patterns do not decode to their value or do not come back from float.
template <class T>
int wrong_patterns(int exponent_bits, int fraction_bits) {
  int wrong = 0;
  for (unsigned bits = 0; bits <= 0xFFFF; ++bits) {
    const auto value = static_cast<float>(T::from_bits(static_cast<std::uint16_t>(bits)));
    const double want = decode(bits, exponent_bits, fraction_bits);
    const T back(value);
    if (std::isnan(want)) {
      wrong += !std::isnan(value) || !std::isnan(static_cast<float>(back));
    } else {
      wrong += static_cast<double>(value) != want || std::signbit(value) != std::signbit(want) ||
               back.bits != bits;
    }
  }
  return wrong;
}

/// How many floats exactly between two neighbouring finite T, or next to there, are rounded wrongly.
template <class T>
int wrong_ties(unsigned infinity) {
  int wrong = 0;
  for (unsigned bits = 0; bits + 1 < infinity; ++bits) {
    const auto below = static_cast<float>(T::from_bits(static_cast<std::uint16_t>(bits)));
    const auto above = static_cast<float>(T::from_bits(static_cast<std::uint16_t>(bits + 1)));
    const float tie = below + (above - below) / 2;
    wrong += T(tie).bits != (bits % 2 == 0 ? bits : bits + 1);
    wrong += T(std::nextafter(tie, below)).bits != bits;
    wrong += T(std::nextafter(tie, above)).bits != bits + 1;
    wrong += T(-tie).bits != ((bits % 2 == 0 ? bits : bits + 1) | 0x8000u);
  }
  return wrong;
}

std::uint32_t hexadecimal(const nlohmann::json& text) {
  return static_cast<std::uint32_t>(std::stoul(text.get<std::string>(), nullptr, 16));
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_float16_decodes_and_comes_back) {
  BOOST_TEST(wrong_patterns<float16>(5, 10) == 0);
}

BOOST_AUTO_TEST_CASE(every_bfloat16_decodes_and_comes_back) {
  BOOST_TEST(wrong_patterns<bfloat16>(8, 7) == 0);
}

BOOST_AUTO_TEST_CASE(ties_go_to_even) {
  BOOST_TEST(wrong_ties<float16>(0x7C00) == 0);
  BOOST_TEST(wrong_ties<bfloat16>(0x7F80) == 0);
}

BOOST_AUTO_TEST_CASE(overflow_gives_infinity) {
  BOOST_TEST(float16(65504.0f).bits == 0x7BFF);
  BOOST_TEST(float16(65519.996f).bits == 0x7BFF);
  BOOST_TEST(float16(65520.0f).bits == 0x7C00);
  BOOST_TEST(float16(-1e30f).bits == 0xFC00);
  BOOST_TEST(bfloat16(std::numeric_limits<float>::max()).bits == 0x7F80);
  BOOST_TEST(bfloat16(-std::numeric_limits<float>::infinity()).bits == 0xFF80);
}

BOOST_AUTO_TEST_CASE(nan_stays_nan) {
  // Fractions that would be lost or carry into the sign if NaN were rounded.
  for (const std::uint32_t bits : {0x7F800001u, 0x7FC00000u, 0x7FFFFFFFu, 0xFF800001u, 0xFFFFFFFFu}) {
    const auto nan = std::bit_cast<float>(bits);
    BOOST_TEST(std::isnan(static_cast<float>(float16(nan))));
    BOOST_TEST(std::isnan(static_cast<float>(bfloat16(nan))));
    BOOST_TEST((float16(nan).bits >> 15) == (bits >> 31));
    BOOST_TEST((bfloat16(nan).bits >> 15) == (bits >> 31));
  }
}

BOOST_AUTO_TEST_CASE(tricky_values_are_rounded_as_by_pytorch) {
  const auto golden = cria::test::golden_json("dtype.json");
  BOOST_TEST(golden.at("values").size() >= 60u);
  for (const auto& entry : golden.at("values")) {
    const auto value = std::bit_cast<float>(hexadecimal(entry.at("float32")));
    const auto why = entry.at("why").get<std::string>();
    BOOST_TEST(bfloat16(value).bits == hexadecimal(entry.at("bfloat16")), "bfloat16: " << why);
    BOOST_TEST(float16(value).bits == hexadecimal(entry.at("float16")), "float16: " << why);
  }
}

namespace {
template <class T>
void check_use() {
  static_assert(std::is_nothrow_copy_constructible_v<T> && !std::is_convertible_v<float, T>);
  BOOST_TEST(static_cast<double>(T(1.5)) == 1.5);
  BOOST_TEST(static_cast<int>(T(-3.75f)) == -3);
  BOOST_TEST(static_cast<std::int64_t>(T(7)) == 7);
  BOOST_TEST(static_cast<bool>(T(2)));
  BOOST_TEST(static_cast<float>(T(std::uint8_t{200})) == 200.0f);
  BOOST_TEST((T(1) < T(2) && T(2) > T(1) && T(1) <= T(1) && T(1) >= T(1) && T(1) == T(1) && T(1) != T(2)));
  BOOST_TEST((T(0.0f) == T(-0.0f)));
  using Limits = std::numeric_limits<T>;
  const T nan = Limits::quiet_NaN();
  BOOST_TEST((!(nan == nan) && nan != nan && !(nan < T(1)) && !(nan >= T(1))));
  std::ostringstream text;
  text << T(0.25f) << ' ' << T(-2);
  BOOST_TEST(text.str() == "0.25 -2");
  // The limits are those of the encoding.
  const auto next = [](T x) { return T::from_bits(static_cast<std::uint16_t>(x.bits + 1)); };
  BOOST_TEST(static_cast<float>(Limits::epsilon()) == static_cast<float>(next(T(1))) - 1);
  BOOST_TEST(std::isinf(static_cast<float>(next(Limits::max()))));
  BOOST_TEST(std::isinf(static_cast<float>(Limits::infinity())));
  BOOST_TEST(static_cast<float>(Limits::lowest()) == -static_cast<float>(Limits::max()));
  BOOST_TEST(static_cast<float>(Limits::min()) == std::ldexp(1.0f, Limits::min_exponent - 1));
  BOOST_TEST(static_cast<float>(Limits::denorm_min()) ==
             std::ldexp(1.0f, Limits::min_exponent - Limits::digits));
  BOOST_TEST(static_cast<double>(Limits::max()) ==
             (2 - static_cast<double>(Limits::epsilon())) * std::ldexp(1.0, Limits::max_exponent - 1));
}
}  // namespace

BOOST_AUTO_TEST_CASE(sixteen_bits_behave_as_numbers) {
  check_use<bfloat16>();
  check_use<float16>();
}

BOOST_AUTO_TEST_CASE(types_have_names) {
  BOOST_TEST(cria::dtype_name<float> == "float32");
  BOOST_TEST(cria::dtype_name<double> == "float64");
  BOOST_TEST(cria::dtype_name<bfloat16> == "bfloat16");
  BOOST_TEST(cria::dtype_name<float16> == "float16");
  BOOST_TEST(cria::dtype_name<std::int32_t> == "int32");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
