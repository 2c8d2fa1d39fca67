#include "cria/ops/create.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
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

BOOST_AUTO_TEST_CASE(constants_have_the_shape_of_another) {
  const auto x = Tensor<double>::full({2, 2}, 5.0);
  BOOST_TEST((eye<float>(2, 3).to_vector() == Floats{1, 0, 0, 0, 1, 0}));
  BOOST_TEST((eye<std::int32_t>(2).to_vector() == Ints{1, 0, 0, 1}));
  BOOST_TEST((ones_like(x).to_vector() == std::vector<double>{1, 1, 1, 1}));
  BOOST_TEST((zeros_like(x).to_vector() == std::vector<double>{0, 0, 0, 0}));
  BOOST_TEST((full_like(x, 7).to_vector() == std::vector<double>{7, 7, 7, 7}));
  BOOST_TEST(empty_like(x).shape() == x.shape());
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
