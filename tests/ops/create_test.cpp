#include "cria/ops/create.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "cria/cria.hpp"
#include "support/error_message.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(create)

namespace {
using namespace cria;
using cria::test::error_message;
using Floats = std::vector<float>;
using Ints = std::vector<std::int32_t>;
}  // namespace

BOOST_AUTO_TEST_CASE(sequences_end_before_or_at_their_bound) {
  BOOST_TEST((arange<std::int32_t>(3).to_vector() == Ints{0, 1, 2}));
  BOOST_TEST((arange<std::int32_t>(5, -2, -3).to_vector() == Ints{5, 2, -1}));
  BOOST_TEST((arange<float>(0.5, 2, 0.5).to_vector() == Floats{0.5f, 1.0f, 1.5f}));
  BOOST_TEST(arange<std::int64_t>(4, 4).size() == 0);
  BOOST_TEST((linspace<float>(1, 2, 5).to_vector() == Floats{1, 1.25f, 1.5f, 1.75f, 2}));
  BOOST_TEST((linspace<float>(1, 2, 1).to_vector() == Floats{1}));
  BOOST_TEST(static_cast<float>(arange<bfloat16>(3).to_vector()[2]) == 2.0f);
  BOOST_TEST(error_message<ShapeError>([] { arange<std::int32_t>(0, 3, -1); }) ==
             "arange: from 0 to 3 by steps of -1; the step must lead from the one to the other");
  BOOST_TEST(error_message<ShapeError>([] { arange<std::int32_t>(0, 3, 0); }) ==
             "arange: from 0 to 3 by steps of 0; the step must lead from the one to the other");
}

BOOST_AUTO_TEST_CASE(integers_that_the_type_does_not_hold_are_refused) {
  constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                         most = std::numeric_limits<std::int64_t>::max();
  Rng rng(1);
  const auto message = [](auto run) { return error_message<ShapeError>(run); };
  BOOST_TEST(message([] { cria::arange<std::int8_t>(0, 300, 100); }) ==
             "arange: 200 is no int8; the elements' type must hold every number");
  BOOST_TEST(message([] { cria::arange<std::int32_t>(most - 2, most); }) ==
             "arange: 9223372036854775805 is no int32; the elements' type must hold every number");
  BOOST_TEST(message([] { cria::arange<std::int8_t>(127, -300, -200); }) ==
             "arange: -273 is no int8; the elements' type must hold every number");
  BOOST_TEST((cria::arange<std::int64_t>(least, 0, -(least / 2)).to_vector() ==
              std::vector<std::int64_t>{least, least / 2}));
  BOOST_TEST(message([&] { cria::randint<std::int8_t>(0, 1000, {2}, rng); }) ==
             "randint: 999 is no int8; the elements' type must hold every number");
  BOOST_TEST(message([&] { cria::randperm<std::int8_t>(200, rng); }) ==
             "randperm: 199 is no int8; the elements' type must hold every number");
}

BOOST_AUTO_TEST_CASE(sizes_that_cannot_be_are_refused) {
  Rng rng(1);
  const auto message = [](auto run) { return error_message<ShapeError>(run); };
  BOOST_TEST(message([] { cria::eye<float>(-1); }) == "eye: rows is -1; it must be 0 or more");
  BOOST_TEST(message([] { cria::linspace<float>(0, 1, -1); }) ==
             "linspace: count is -1; it must be 0 or more");
  BOOST_TEST(message([&] { cria::randperm<float>(-1, rng); }) ==
             "randperm: count is -1; it must be 0 or more");
  constexpr std::int64_t huge = std::int64_t{1} << 50;
  const auto refused = [](auto run) {
    BOOST_TEST((error_message<BackendError>(run).find("out of memory") != std::string::npos));
  };
  refused([&] { cria::rand<float>({huge}, rng); });
  refused([&] { cria::randperm<std::int64_t>(huge, rng); });
  refused([&] { cria::eye<float>(1 << 25); });
}

BOOST_AUTO_TEST_CASE(constants_have_the_shape_of_another) {
  const auto x = Tensor<double>::full({2, 2}, 5.0);
  BOOST_TEST((eye<float>(2, 3).to_vector() == Floats{1, 0, 0, 0, 1, 0}));
  BOOST_TEST((eye<std::int32_t>(2).to_vector() == Ints{1, 0, 0, 1}));
  BOOST_TEST((ones_like(x).to_vector() == std::vector<double>{1, 1, 1, 1}));
  BOOST_TEST((zeros_like(x).to_vector() == std::vector<double>{0, 0, 0, 0}));
  BOOST_TEST((full_like(x, 7).to_vector() == std::vector<double>{7, 7, 7, 7}));
  BOOST_TEST(empty_like(x).shape() == x.shape());
  BOOST_TEST((eye<bool>(2).to_vector() == std::vector<bool>{true, false, false, true}));
  BOOST_TEST((zeros<std::int32_t>({2}).to_vector() == std::vector<std::int32_t>{0, 0}));
  BOOST_TEST((ones<bool>({2}).to_vector() == std::vector<bool>{true, true}));
}

BOOST_AUTO_TEST_CASE(random_numbers_come_from_the_generator) {
  Rng rng(1), again(1);
  const auto normal = randn<float>({1000}, rng);
  BOOST_TEST((normal.to_vector() == randn<float>({1000}, again).to_vector()));
  BOOST_TEST((normal.to_vector() != randn<float>({1000}, rng).to_vector()));
  BOOST_TEST(std::abs(mean(normal).item()) < 0.1f);
  BOOST_TEST(std::abs(variance(normal).item() - 1) < 0.15f);
  const auto uniform = rand<float>({1000}, rng);
  BOOST_TEST(min(uniform).item() >= 0.0f);
  BOOST_TEST(max(uniform).item() < 1.0f);
  BOOST_TEST(std::abs(mean(uniform).item() - 0.5f) < 0.05f);
}

BOOST_AUTO_TEST_CASE(random_integers_are_in_their_range) {
  Rng rng(2);
  const auto x = randint<std::int32_t>(-1, 3, {200}, rng).to_vector();
  BOOST_TEST(*std::min_element(x.begin(), x.end()) == -1);
  BOOST_TEST(*std::max_element(x.begin(), x.end()) == 2);
  BOOST_TEST(error_message<ShapeError>([&] { randint<std::int32_t>(3, 3, {1}, rng); }) ==
             "randint: low is 3 and high is 3; low must be less");
  auto order = randperm<std::int64_t>(100, rng).to_vector();
  BOOST_TEST(!std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  BOOST_TEST((order == arange<std::int64_t>(100).to_vector()));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
