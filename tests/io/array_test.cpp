#include "cria/io/array.hpp"

#include <algorithm>
#include <bit>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "support/error_message.hpp"

BOOST_AUTO_TEST_SUITE(io)
BOOST_AUTO_TEST_SUITE(array)

namespace {

using namespace cria::io;
using cria::bfloat16;
using cria::Cpu;
using cria::FileError;
using cria::float16;
using cria::Shape;
using cria::Tensor;
using cria::test::error_message;

/// The values as a file has them, one after the other, in either order of bytes.
template <class T>
std::vector<std::byte> bytes_of(const std::vector<T>& values, std::endian order) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  if (order == std::endian::big) {
    for (std::size_t i = 0; i < bytes.size(); i += sizeof(T))
      std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i),
                   bytes.begin() + static_cast<std::ptrdiff_t>(i + sizeof(T)));
  }
  return bytes;
}

template <class T, class From>
std::vector<T> read(const std::string& dtype, const std::vector<From>& values,
                    std::endian order = std::endian::little) {
  const auto bytes = bytes_of(values, order);
  return to_tensor<T>({dtype, {values.size()}, bytes, order}, "file").to_vector();
}

template <class T, class From>
std::string refusal(const std::string& dtype, const std::vector<From>& values) {
  return error_message<FileError>([&] { read<T>(dtype, values); });
}

/// Values of From, which every type but bool takes unless `integers` is wrong for it.
template <class From>
void check_from(const std::string& dtype) {
  const std::vector<From> values{static_cast<From>(0), static_cast<From>(1), static_cast<From>(100)};
  for (const std::endian order : {std::endian::little, std::endian::big}) {
    const auto check = [&]<class T>(T) {
      BOOST_TEST((read<T>(dtype, values, order) ==
                  std::vector<T>{static_cast<T>(0), static_cast<T>(1), static_cast<T>(100)}));
    };
    check(float{});
    check(double{});
    check(float16{});
    check(bfloat16{});
    if constexpr (std::is_integral_v<From>) {
      check(std::int8_t{});
      check(std::int16_t{});
      check(std::int32_t{});
      check(std::int64_t{});
      check(std::uint8_t{});
    } else {
      BOOST_TEST(refusal<std::int32_t>(dtype, values) ==
                 "file: its elements are " + dtype + "; a tensor of int32 takes integers");
    }
    BOOST_TEST(refusal<bool>(dtype, values) ==
               "file: its elements are " + dtype + "; a tensor of bool takes bool");
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_type_becomes_every_other_that_holds_it) {
  check_from<float>("float32");
  check_from<double>("float64");
  check_from<float16>("float16");
  check_from<bfloat16>("bfloat16");
  check_from<std::int8_t>("int8");
  check_from<std::int16_t>("int16");
  check_from<std::int32_t>("int32");
  check_from<std::int64_t>("int64");
  check_from<std::uint8_t>("uint8");
  check_from<std::uint16_t>("uint16");
  check_from<std::uint32_t>("uint32");
  check_from<std::uint64_t>("uint64");
}

BOOST_AUTO_TEST_CASE(bool_is_whatever_is_not_zero) {
  const std::vector<std::uint8_t> bytes{0, 1, 255};
  BOOST_TEST((read<bool>("bool", bytes) == std::vector<bool>{false, true, true}));
  BOOST_TEST((read<std::int32_t>("bool", bytes) == std::vector<std::int32_t>{0, 1, 1}));
  BOOST_TEST((read<float>("bool", bytes) == std::vector<float>{0, 1, 1}));
}

BOOST_AUTO_TEST_CASE(numbers_are_rounded_to_floating_point) {
  const double large = std::ldexp(1.0, 24);
  BOOST_TEST((read<float>("float64", std::vector<double>{1.0 / 3.0, 1e300}) ==
              std::vector<float>{1.0f / 3.0f, std::numeric_limits<float>::infinity()}));
  BOOST_TEST((read<float>("int64", std::vector<std::int64_t>{(1 << 24) + 1}) ==
              std::vector<float>{static_cast<float>(large)}));
  BOOST_TEST(std::isnan(read<float>("float16", std::vector<float16>{float16(std::nanf(""))}).at(0)));
}

BOOST_AUTO_TEST_CASE(integers_that_do_not_fit_are_refused_by_their_place) {
  const std::int64_t limit = std::numeric_limits<std::int32_t>::max();
  BOOST_TEST((read<std::int32_t>("int64", std::vector<std::int64_t>{limit, -limit - 1}) ==
              std::vector<std::int32_t>{2147483647, -2147483647 - 1}));
  BOOST_TEST(refusal<std::int32_t>("int64", std::vector<std::int64_t>{1, limit + 1}) ==
             "file: element 1 is 2147483648, which a tensor of int32 does not hold");
  BOOST_TEST(refusal<std::int64_t>("uint64", std::vector<std::uint64_t>{~std::uint64_t{0}}) ==
             "file: element 0 is 18446744073709551615, which a tensor of int64 does not hold");
  BOOST_TEST(refusal<std::uint8_t>("int8", std::vector<std::int8_t>{5, 6, -1}) ==
             "file: element 2 is -1, which a tensor of uint8 does not hold");
}

BOOST_AUTO_TEST_CASE(elements_may_lie_at_any_address) {
  const std::vector<double> values{1.5, -2.5};
  std::vector<std::byte> bytes(1);
  const auto aligned = bytes_of(values, std::endian::little);
  bytes.insert(bytes.end(), aligned.begin(), aligned.end());
  const ArrayView view{"float64", {2}, std::span(bytes).subspan(1)};
  BOOST_TEST((to_tensor<double>(view, "file").to_vector() == values));
  BOOST_TEST((to_tensor<float>(view, "file").to_vector() == std::vector<float>{1.5f, -2.5f}));
}

BOOST_AUTO_TEST_CASE(bytes_that_are_not_the_shapes_are_refused) {
  const std::vector<std::byte> bytes(12);
  const auto message = [&](const std::string& dtype, const Shape& shape) {
    return error_message<FileError>([&] { to_tensor<float>({dtype, shape, bytes}, "file"); });
  };
  BOOST_TEST(message("float32", {3}) == "(nothing thrown)");
  BOOST_TEST(message("float32", {3, 1}) == "(nothing thrown)");
  BOOST_TEST(message("float32", {2, 2}) == "file: has 12 bytes of data, but [2, 2] of float32 needs 16");
  BOOST_TEST(message("float64", {1}) == "file: has 12 bytes of data, but [1] of float64 needs 8");
  BOOST_TEST(message("F8_E4M3", {12}) == "file: its elements are F8_E4M3, which no tensor has");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
