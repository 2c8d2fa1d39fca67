// NaN in, NaN out, and infinities as IEEE has them, in operations that choose a maximum or add up very many
// numbers.

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "cria/cria.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(not_finite)

namespace {

using namespace cria;

constexpr float nan = std::numeric_limits<float>::quiet_NaN(),
                infinity = std::numeric_limits<float>::infinity();

/// `size` numbers around 0, but `value` at `at`.
std::vector<float> numbers(std::int64_t size, std::int64_t at, float value) {
  std::vector<float> x(static_cast<std::size_t>(size));
  Rng rng(1);
  for (float& each : x) each = static_cast<float>(rng.normal());
  x[static_cast<std::size_t>(at)] = value;
  return x;
}

bool is_nan(float x) {
  return std::isnan(x);
}

}  // namespace

BOOST_AUTO_TEST_CASE(one_bad_logit_makes_the_loss_nan) {
  for (const float bad : {nan, infinity}) {
    for (const std::int64_t at : {0, 1, 255, 256, 699}) {
      const auto x = Tensor<float>::from({1, 700}, numbers(700, at, bad)).set_requires_grad();
      const auto loss = cria::cross_entropy(x, Tensor<std::int32_t>::full({1}, 5));
      BOOST_TEST(is_nan(loss.item()), "logit " << at << " is " << bad);
      backward(loss);
      BOOST_TEST(is_nan(x.grad().to_vector()[5]));
    }
  }
}

BOOST_AUTO_TEST_CASE(one_bad_weight_makes_the_loss_of_a_linear_layer_nan) {
  Parameter<float> weight({700, 2});
  weight.value().assign(numbers(1400, 801, nan));
  const auto x = Tensor<float>::full({3, 2}, 0.5f);
  BOOST_TEST(is_nan(cria::linear_cross_entropy(x, weight, Tensor<std::int32_t>::full({3}, 5)).item()));
}

BOOST_AUTO_TEST_CASE(an_impossible_class_has_no_part_in_the_loss_and_costs_infinitely_much) {
  std::vector<float> logits(700, -infinity);
  logits[3] = logits[300] = 2.0f;
  const auto x = Tensor<float>::from({1, 700}, logits);
  BOOST_TEST(cria::cross_entropy(x, Tensor<std::int32_t>::full({1}, 300)).item() == std::log(2.0f),
             boost::test_tools::tolerance(1e-6f));
  BOOST_TEST(cria::cross_entropy(x, Tensor<std::int32_t>::full({1}, 5)).item() == infinity);
}

// A thread adds up several rows' losses.
BOOST_AUTO_TEST_CASE(infinite_losses_are_infinite_in_the_mean) {
  constexpr std::int64_t rows = 5000;
  const auto logits = Tensor<float>::from({rows, 2}, numbers(2 * rows, 14, -infinity));
  BOOST_TEST(cria::cross_entropy(logits, Tensor<std::int32_t>::zeros({rows})).item() == infinity);
}

// A lane adds up many squares, of which the first overflows.
BOOST_AUTO_TEST_CASE(rows_whose_squares_overflow_are_normalised_to_zeros) {
  for (const std::int64_t size : {8, 4096}) {
    const Parameter<float> weight({size}, 1.0);
    const auto y =
        cria::rms_norm(Tensor<float>::from({1, size}, numbers(size, 0, 1e30f)), weight).to_vector();
    BOOST_TEST(std::all_of(y.begin(), y.end(), [](float each) { return each == 0; }), "of " << size);
  }
}

BOOST_AUTO_TEST_CASE(one_nan_makes_a_normalised_row_nan_and_no_other) {
  const Parameter<float> weight({300}, 1.0);
  const auto y = cria::rms_norm(Tensor<float>::from({2, 300}, numbers(600, 299, nan)), weight).to_vector();
  BOOST_TEST(std::all_of(y.begin(), y.begin() + 300, is_nan));
  BOOST_TEST(std::none_of(y.begin() + 300, y.end(), is_nan));
}

// Queries see the keys up to their own position. A NaN in the query at `bad` makes its row NaN; in the key,
// the rows from there on.
BOOST_AUTO_TEST_CASE(nan_in_attention_reaches_whoever_sees_it) {
  constexpr std::int64_t length = 70, dim = 16, bad = 40;
  const Shape shape{1, length, 1, dim};
  const auto good = Tensor<float>::from(shape, numbers(length * dim, 0, 0.5f));
  const auto broken = Tensor<float>::from(shape, numbers(length * dim, bad * dim + 3, nan));
  const auto nan_rows = [&](const Tensor<float>& y) {
    const auto values = y.to_vector();
    std::vector<std::int64_t> rows;
    for (std::int64_t t = 0; t < length; ++t) {
      const auto row = values.begin() + t * dim;
      if (std::all_of(row, row + dim, is_nan)) rows.push_back(t);
      BOOST_TEST(std::any_of(row, row + dim, is_nan) == std::all_of(row, row + dim, is_nan));
    }
    return rows;
  };
  std::vector<std::int64_t> from_there_on;
  for (std::int64_t t = bad; t < length; ++t) from_there_on.push_back(t);
  BOOST_TEST((nan_rows(cria::attention(broken, good, good)) == std::vector<std::int64_t>{bad}));
  BOOST_TEST((nan_rows(cria::attention(good, broken, good)) == from_there_on));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
