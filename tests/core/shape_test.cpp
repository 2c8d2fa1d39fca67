#include "cria/core/shape.hpp"

#include <boost/test/unit_test.hpp>

#include "cria/cria.hpp"

#include "support/error_message.hpp"

BOOST_AUTO_TEST_SUITE(core)
BOOST_AUTO_TEST_SUITE(shape)

namespace {

using cria::Shape;
using cria::ShapeError;
using cria::test::error_message;

}  // namespace

BOOST_AUTO_TEST_CASE(shapes_print_as_lists) {
  BOOST_TEST(to_string(Shape{}) == "[]");
  BOOST_TEST(to_string(Shape{5}) == "[5]");
  BOOST_TEST(to_string(Shape{2, 0, 3}) == "[2, 0, 3]");
}

BOOST_AUTO_TEST_CASE(size_is_the_product) {
  BOOST_TEST(Shape{}.size() == 1);
  BOOST_TEST(Shape({2, 3, 4}).size() == 24);
  BOOST_TEST(Shape({2, 0, 4}).size() == 0);
  BOOST_TEST(Shape({2, 3, 4}).product(1, 3) == 12);
  BOOST_TEST(Shape({2, 3, 4}).product(1, 1) == 1);
  BOOST_TEST(Shape({1 << 20, 1 << 20}).size() == std::int64_t{1} << 40);
}

BOOST_AUTO_TEST_CASE(dimensions_are_integers_of_any_type) {
  const std::size_t n = 3;
  const std::uint8_t small = 2;
  BOOST_TEST(Shape({n, 2, small, std::int64_t{4}}) == Shape({3, 2, 2, 4}));
  BOOST_TEST((cria::Tensor<float>::zeros({n, 2}).shape() == Shape{3, 2}));
}

BOOST_AUTO_TEST_CASE(more_elements_than_memory_can_have_are_refused) {
  const std::int64_t large = std::int64_t{1} << 40;
  BOOST_TEST(error_message<ShapeError>([] {
               Shape({(std::int64_t{1} << 62) + 1, 4});
             }) == "Shape: [4611686018427387905] has more than 2^59 elements");
  BOOST_TEST(error_message<ShapeError>([&] {
               Shape({large, large});
             }) == "Shape: [1099511627776, 1099511627776] has more than 2^59 elements");
  BOOST_TEST(error_message<ShapeError>([&] {
               Shape({large, 0, large});
             }) == "Shape: [1099511627776, 0, 1099511627776] has more than 2^59 elements");
  BOOST_TEST(error_message<ShapeError>([&] {
               Shape({large, 1}).with_dim(1, large);
             }) == "Shape: [1099511627776, 1099511627776] has more than 2^59 elements");
  BOOST_TEST(Shape({large, 1 << 19}).size() == std::int64_t{1} << 59);
}

BOOST_AUTO_TEST_CASE(negative_axes_count_from_the_last) {
  const Shape shape{2, 3, 4};
  BOOST_TEST(shape.rank() == 3);
  BOOST_TEST(shape.dim(0) == 2);
  BOOST_TEST(shape.dim(-1) == 4);
  BOOST_TEST(shape.axis(-3) == 0);
}

BOOST_AUTO_TEST_CASE(shapes_are_equal_if_all_dimensions_are) {
  BOOST_TEST(Shape({2, 3}) == Shape({2, 3}));
  BOOST_TEST(!(Shape({2, 3}) == Shape({3, 2})));
  BOOST_TEST(!(Shape({2, 3}) == Shape({2, 3, 1})));
  BOOST_TEST(!(Shape({}) == Shape({1})));
}

BOOST_AUTO_TEST_CASE(dimensions_can_be_replaced_and_dropped) {
  BOOST_TEST(Shape({2, 3, 4}).with_dim(-2, 7) == Shape({2, 7, 4}));
  BOOST_TEST(Shape({2, 3, 4}).leading() == Shape({2, 3}));
  BOOST_TEST(Shape({2}).leading() == Shape{});
}

BOOST_AUTO_TEST_CASE(what_is_not_allowed_is_said) {
  BOOST_TEST(error_message<ShapeError>([] { Shape({2, 3}).dim(2); }) == "Shape: [2, 3] has no dimension 2");
  BOOST_TEST(error_message<ShapeError>([] { Shape({2, 3}).dim(-3); }) == "Shape: [2, 3] has no dimension -3");
  BOOST_TEST(error_message<ShapeError>([] { Shape{}.leading(); }) == "Shape: [] has no dimension -1");
  BOOST_TEST(error_message<ShapeError>([] { Shape({2, -1}); }) == "Shape: dimension -1 is negative");
  BOOST_TEST(error_message<ShapeError>([] {
               Shape({2, 3}).with_dim(0, -1);
             }) == "Shape: dimension -1 is negative");
  BOOST_TEST(error_message<ShapeError>([] { Shape({~std::uint64_t{0}}); }) ==
             "Shape: dimension 18446744073709551615 is too large");
  BOOST_TEST(error_message<ShapeError>([] { Shape({1, 1, 1, 1, 1, 1}); }) == "(nothing thrown)");
  BOOST_TEST(error_message<ShapeError>([] {
               Shape({1, 1, 1, 1, 1, 1, 1});
             }) == "Shape: at most 6 dimensions are allowed");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
