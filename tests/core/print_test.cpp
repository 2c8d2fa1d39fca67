#include "cria/core/print.hpp"

#include <boost/test/unit_test.hpp>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "cria/ops/create.hpp"
#include "cria/ops/reshape.hpp"
#include "support/error_message.hpp"

BOOST_AUTO_TEST_SUITE(core)
BOOST_AUTO_TEST_SUITE(print)

namespace {
using namespace cria;

std::string text(const auto& x) {
  std::ostringstream out;
  out << x;
  return out.str();
}
std::string text(const std::vector<float>& values) {
  return text(Tensor<float>::from({static_cast<std::int64_t>(values.size())}, values));
}
}  // namespace

BOOST_AUTO_TEST_CASE(rows_are_lines_and_planes_are_apart) {
  BOOST_TEST(text(reshape(arange<std::int32_t>(8), {2, 2, 2})) == "[[[0 1]\n  [2 3]]\n\n [[4 5]\n  [6 7]]]");
  BOOST_TEST(text(Tensor<bool>::from({2, 1}, {true, false})) == "[[ true]\n [false]]");
  BOOST_TEST(text(Tensor<std::int64_t>::scalar(-7)) == "-7");
  BOOST_TEST(text(Tensor<float>::zeros({0})) == "[]");
  BOOST_TEST(text(Tensor<float>()) == "undefined");
}

BOOST_AUTO_TEST_CASE(numbers_have_as_many_digits_as_they_need) {
  const float infinity = std::numeric_limits<float>::infinity();
  BOOST_TEST(text({1, -2, 30}) == "[ 1. -2. 30.]");
  BOOST_TEST(text({0.5f, 1, 0.25f}) == "[0.50 1.00 0.25]");
  BOOST_TEST(text({0.123456f, 10}) == "[ 0.1235 10.0000]");
  BOOST_TEST(text({1, -infinity, std::numeric_limits<float>::quiet_NaN()}) == "[  1. -inf  nan]");
  BOOST_TEST(text({1e-5f, 0}) == "[1.0000e-05 0.0000e+00]");
  BOOST_TEST(text({1e9f, 1}) == "[1.0000e+09 1.0000e+00]");
  BOOST_TEST(text(Tensor<bfloat16>::from({1}, {bfloat16(1.5)})) == "[1.5]");
}

BOOST_AUTO_TEST_CASE(many_elements_are_abridged) {
  BOOST_TEST(text(arange<std::int32_t>(1001)) == "[   0    1    2 ...  998  999 1000]");
  BOOST_TEST(text(reshape(arange<std::int32_t>(2000), {2, 1000})) ==
             "[[   0    1    2 ...  997  998  999]\n [1000 1001 1002 ... 1997 1998 1999]]");
  BOOST_TEST(text(reshape(arange<std::int32_t>(2000), {1000, 2})) ==
             "[[   0    1]\n [   2    3]\n [   4    5]\n ...\n [1994 1995]\n [1996 1997]\n [1998 1999]]");
}

BOOST_AUTO_TEST_CASE(long_rows_are_wrapped) {
  const std::string lines = text(arange<std::int32_t>(1000));
  BOOST_TEST(lines.substr(0, lines.find('\n')) ==
             "[  0   1   2   3   4   5   6   7   8   9  10  11  12  13  14  15  16  17");
  BOOST_TEST(lines.substr(lines.find('\n') + 1, 7) == "  18  1");
}

BOOST_AUTO_TEST_CASE(elements_are_read_by_their_indices) {
  const auto x = reshape(arange<float>(6), {2, 3});
  BOOST_TEST(x.at({1, 2}) == 5.0f);
  BOOST_TEST(x.at({-1, -3}) == 3.0f);
  BOOST_TEST(Tensor<float>::scalar(4).at({}) == 4.0f);
  using cria::test::error_message;
  BOOST_TEST(error_message<ShapeError>([&] { x.at({1, 3}); }) == "at: shape [2, 3] has no element {1, 3}");
  BOOST_TEST(error_message<ShapeError>([&] { x.at({1}); }) == "at: shape [2, 3] has no element {1}");
}

BOOST_AUTO_TEST_CASE(nothing_is_short) {
  BOOST_TEST(to_string(Tensor<float>::zeros({2, 0, 3})) == "[]");
  BOOST_TEST(to_string(Tensor<float>::zeros({std::int64_t{1} << 40, 0})) == "[]");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
