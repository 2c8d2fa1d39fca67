#include "cria/optim/schedule.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <string>

#include "support/llama_golden.hpp"

BOOST_AUTO_TEST_SUITE(optim)
BOOST_AUTO_TEST_SUITE(schedule)

namespace {

std::string printed(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%e", value);
  return text;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_rates_are_the_reference_runs) {
  const auto golden = cria::test::golden_json("ops.json")["cosine_schedule"];
  const cria::WarmupCosine schedule{golden["learning_rate"], golden["min_lr"], golden["warmup_iters"],
                                    golden["lr_decay_iters"]};
  for (std::size_t i = 0; i < golden["iterations"].size(); ++i) {
    const double want = golden["learning_rates"][i];
    BOOST_TEST(std::abs(schedule(golden["iterations"][i]) - want) <= 1e-15 * std::abs(want) + 1e-18);
  }
}

BOOST_AUTO_TEST_CASE(the_warm_up_prints_the_logs_digits) {
  // The reference's log: iterations 0, 1, 2, ... 100 print 0.000000e+00, 5.000000e-07, 1.000000e-06,
  // ... 5.000000e-05.
  const cria::WarmupCosine schedule{5e-4, 0.0, 1000, 100000};
  for (int it = 0; it <= 100; ++it) {
    const std::string tens_of_nanos = std::to_string(5 * it);  // 5e-7 it, as an integer times 1e-7
    std::string want = "0.000000e+00";
    if (it > 0) {
      const auto exponent = 7 - static_cast<int>(tens_of_nanos.size() - 1);
      const std::string digits = tens_of_nanos + "000000";
      want = digits.substr(0, 1) + "." + digits.substr(1, 6) + "e-0" + std::to_string(exponent);
    }
    BOOST_TEST(printed(schedule(it)) == want);
  }
}

BOOST_AUTO_TEST_CASE(min_lr_comes_after_the_decay_and_no_warm_up_is_allowed) {
  const cria::WarmupCosine schedule{1.0, 0.1, 0, 10};
  BOOST_TEST(schedule(0) == 1.0);
  BOOST_TEST(schedule(5) == 0.55, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(schedule(10) == 0.1, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(schedule(11) == 0.1);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
