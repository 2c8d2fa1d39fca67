#include "cria/backend/cpu/convert.hpp"

#include <bit>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <vector>

#include "cria/core/random.hpp"

BOOST_AUTO_TEST_SUITE(backend)
BOOST_AUTO_TEST_SUITE(cpu)
BOOST_AUTO_TEST_SUITE(convert)

namespace {

using namespace cria;

/// Every bit pattern of a 16-bit type, and some more so that the last vector is not full.
template <class T>
std::vector<T> all_patterns() {
  std::vector<T> values;
  for (std::uint32_t bits = 0; bits < 65536 + 5; ++bits)
    values.push_back(T::from_bits(static_cast<std::uint16_t>(bits)));
  return values;
}

/// Floats of all magnitudes, those halfway between two 16-bit numbers among them.
std::vector<float> floats() {
  std::vector<float> values{0.0f,     -0.0f,      INFINITY, -INFINITY, NAN,
                            65504.0f, 65519.996f, 65520.0f, 0x1p-24f,  0x1p-25f};
  Rng rng(5);
  for (int i = 0; i < 100003; ++i) {
    const auto bits = static_cast<std::uint32_t>(rng.below(std::uint64_t{1} << 32));
    values.push_back(std::bit_cast<float>(bits));
    values.push_back(std::bit_cast<float>((bits & 0xFFFFE000u) | 0x1000u));
    values.push_back(std::bit_cast<float>((bits & 0xFFFF0000u) | 0x8000u));
  }
  return values;
}

template <class T>
void check_narrowing() {
  const std::vector<float> values = floats();
  std::vector<T> got(values.size()), want(values.size());
  cria::cpu::convert_range(values.data(), got.data(), static_cast<std::int64_t>(values.size()));
  std::size_t different = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const T one(values[i]);
    const bool both_nan = std::isnan(static_cast<float>(one)) && std::isnan(static_cast<float>(got[i]));
    different += !both_nan && got[i].bits != one.bits;
  }
  BOOST_TEST(different == 0u);
  cria::cpu::convert_portably(values.data(), want.data(), static_cast<std::int64_t>(values.size()));
  for (std::size_t i = 0; i < values.size(); ++i) different += T(values[i]).bits != want[i].bits;
  BOOST_TEST(different == 0u);
}

template <class T>
void check_widening() {
  const std::vector<T> values = all_patterns<T>();
  std::vector<float> got(values.size());
  cria::cpu::convert_range(values.data(), got.data(), static_cast<std::int64_t>(values.size()));
  std::size_t different = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float want = static_cast<float>(values[i]);
    different += !(std::isnan(want) && std::isnan(got[i])) &&
                 std::bit_cast<std::uint32_t>(got[i]) != std::bit_cast<std::uint32_t>(want);
  }
  BOOST_TEST(different == 0u);
}

}  // namespace

BOOST_AUTO_TEST_CASE(arrays_are_narrowed_as_single_numbers_are) {
  check_narrowing<float16>();
  check_narrowing<bfloat16>();
}

BOOST_AUTO_TEST_CASE(arrays_are_widened_as_single_numbers_are) {
  check_widening<float16>();
  check_widening<bfloat16>();
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
