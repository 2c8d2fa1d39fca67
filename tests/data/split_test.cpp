#include "cria/data/split.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "cria/data/batches.hpp"
#include "cria/data/examples.hpp"
#include "support/error_message.hpp"

BOOST_AUTO_TEST_SUITE(data)
BOOST_AUTO_TEST_SUITE(split)

namespace {

using namespace cria;
using cria::data::Examples;
using test::error_message;

Examples<std::int32_t> counted(std::int32_t n) {
  std::vector<std::int32_t> values(static_cast<std::size_t>(n));
  for (std::int32_t i = 0; i < n; ++i) values[static_cast<std::size_t>(i)] = i;
  return Examples(Tensor<std::int32_t, Cpu>::from({n}, values));
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_example_is_in_one_part_and_in_order) {
  const auto [training, validation] = cria::data::split(counted(100), {.validation = 0.25, .seed = 1});
  BOOST_TEST(training.size() == 75u);
  BOOST_TEST(validation.size() == 25u);
  std::vector<std::size_t> all = training.indices();
  BOOST_TEST(std::is_sorted(all.begin(), all.end()));
  BOOST_TEST(std::is_sorted(validation.indices().begin(), validation.indices().end()));
  all.insert(all.end(), validation.indices().begin(), validation.indices().end());
  std::sort(all.begin(), all.end());
  for (std::size_t i = 0; i < 100; ++i) BOOST_TEST(all.at(i) == i);
  BOOST_TEST(validation.indices().back() > 50u);  // they come from everywhere
  BOOST_TEST(validation.indices().front() < 50u);

  const auto again = cria::data::split(counted(100), {.validation = 0.25, .seed = 1});
  BOOST_TEST((again.second.indices() == validation.indices()));
  const auto other = cria::data::split(counted(100), {.validation = 0.25, .seed = 2});
  BOOST_TEST((other.second.indices() != validation.indices()));
}

BOOST_AUTO_TEST_CASE(a_part_is_a_source) {
  const auto [training, validation] = cria::data::split(counted(10), {.validation = 0.4, .seed = 5});
  for (std::size_t i = 0; i < validation.size(); ++i) {
    BOOST_TEST(static_cast<std::size_t>(std::get<0>(validation[i]).item()) == validation.indices()[i]);
  }
  std::vector<std::size_t> seen;
  cria::data::Batches batches(validation, {.batch_size = 3});
  for (const auto& [x] : batches) {
    for (const std::int32_t value : x.to_vector()) seen.push_back(static_cast<std::size_t>(value));
  }
  BOOST_TEST((seen == validation.indices()));

  const auto parts = cria::data::split(training, {.validation = 0.5});  // of a part again
  BOOST_TEST(parts.first.size() == 3u);
  BOOST_TEST(static_cast<std::size_t>(std::get<0>(parts.first[2]).item()) ==
             training.indices()[parts.first.indices()[2]]);
  BOOST_TEST(error_message<ShapeError>([&, &part = training] { part[6]; }) ==
             "data::Subset: there is no example 6; there are 6");
}

BOOST_AUTO_TEST_CASE(a_part_that_would_be_empty_is_refused) {
  const auto message = [](std::int32_t n, double validation) {
    return error_message<ConfigError>([&] { cria::data::split(counted(n), {.validation = validation}); });
  };
  const std::string rule =
      " examples; it must be in (0, 1) and leave at least one to train on and one to validate with";
  BOOST_TEST(message(10, 0) == "data::split: validation is 0.000000 of 10" + rule);
  BOOST_TEST(message(10, 1) == "data::split: validation is 1.000000 of 10" + rule);
  BOOST_TEST(message(10, 0.01) == "data::split: validation is 0.010000 of 10" + rule);
  BOOST_TEST(message(10, 0.99) == "data::split: validation is 0.990000 of 10" + rule);
  BOOST_TEST(message(10, -0.5) == "data::split: validation is -0.500000 of 10" + rule);
  BOOST_TEST(message(10, std::nan("")) == "data::split: validation is nan of 10" + rule);
  BOOST_TEST(message(1, 0.5) == "data::split: validation is 0.500000 of 1" + rule);
  BOOST_TEST(message(2, 0.5) == "(nothing thrown)");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
