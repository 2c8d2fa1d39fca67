#include "cria/optim/schedule.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <map>
#include <string>

#include "support/error_message.hpp"
#include "support/llama_golden.hpp"

BOOST_AUTO_TEST_SUITE(optim)
BOOST_AUTO_TEST_SUITE(schedule)

namespace {

using namespace cria;
namespace sch = cria::schedule;

std::string printed(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%e", value);
  return text;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_rates_are_the_reference_runs) {
  const auto golden = test::golden_json("ops.json")["cosine_schedule"];
  const std::int64_t warmup = golden["warmup_iters"], decay = golden["lr_decay_iters"];
  const Schedule rate =
      sch::warm_up(warmup, sch::cosine(golden["learning_rate"], golden["min_lr"], decay - warmup));
  for (std::size_t i = 0; i < golden["iterations"].size(); ++i) {
    const double want = golden["learning_rates"][i];
    BOOST_TEST(std::abs(rate(golden["iterations"][i]) - want) <= 1e-15 * std::abs(want) + 1e-18);
  }
}

BOOST_AUTO_TEST_CASE(the_warm_up_prints_the_logs_digits) {
  // The reference's log: iterations 0, 1, 2, ... 100 print 0.000000e+00, 5.000000e-07, 1.000000e-06,
  // ... 5.000000e-05.
  const Schedule rate = sch::warm_up(1000, sch::cosine(5e-4, 0.0, 99000));
  for (int it = 0; it <= 100; ++it) {
    const std::string tens_of_nanos = std::to_string(5 * it);  // 5e-7 it, as an integer times 1e-7
    std::string want = "0.000000e+00";
    if (it > 0) {
      const auto exponent = 7 - static_cast<int>(tens_of_nanos.size() - 1);
      const std::string digits = tens_of_nanos + "000000";
      want = digits.substr(0, 1) + "." + digits.substr(1, 6) + "e-0" + std::to_string(exponent);
    }
    BOOST_TEST(printed(rate(it)) == want);
  }
}

BOOST_AUTO_TEST_CASE(the_last_rate_stays_and_no_warm_up_is_allowed) {
  const Schedule rate = sch::warm_up(0, sch::cosine(1.0, 0.1, 10));
  BOOST_TEST(rate(0) == 1.0);
  BOOST_TEST(rate(5) == 0.55, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(rate(10) == 0.1);
  BOOST_TEST(rate(11) == 0.1);
}

BOOST_AUTO_TEST_CASE(forty_rates_are_pytorchs) {
  const auto golden = test::golden_json("optimizers.json")["rates"];
  const auto check = [&](const char* name, const Schedule& rate) {
    for (std::int64_t it = 0; it < 40; ++it) {
      const double want = golden[name][static_cast<std::size_t>(it)];
      BOOST_TEST(std::abs(rate(it) - want) < 1e-14,
                 name << " at " << it << ": got " << rate(it) << ", want " << want);
    }
  };
  check("constant", sch::constant(0.5));
  check("linear", sch::linear(0.5, 0.05, 30));
  check("cosine", sch::cosine(0.5, 0.05, 39));
  check("step", sch::step(0.5, 0.3, 7));
  check("one_cycle", sch::one_cycle(0.5, 40));
}

BOOST_AUTO_TEST_CASE(schedules_are_made_of_one_another) {
  const Schedule transformer = sch::warm_up(4, sch::inverse_square_root(1.0, 4));
  for (const auto& [it, want] :
       std::map<std::int64_t, double>{{0, 0}, {1, 0.25}, {4, 1}, {8, 1}, {20, 0.5}}) {
    BOOST_TEST(transformer(it) == want);
  }
  const Schedule stable = sch::warmup_stable_decay(1.0, 0.5, 2, 4, 10);
  for (const auto& [it, want] : std::map<std::int64_t, double>{
           {0, 0}, {1, 0.5}, {2, 1}, {6, 1}, {7, 0.875}, {9, 0.625}, {10, 0.5}, {99, 0.5}}) {
    BOOST_TEST(stable(it) == want);
  }
  const Schedule own =
      sch::then([](std::int64_t it) { return static_cast<double>(it); }, 3, sch::constant(7));
  BOOST_TEST(own(2) == 2.0);
  BOOST_TEST(own(3) == 7.0);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_is_refused_by_name) {
  const auto message = [](auto make) { return test::error_message<ConfigError>(make); };
  BOOST_TEST(message([] { sch::constant(-1); }) ==
             "schedule::constant: rate is -1.000000; it must be a number from 0 on");
  BOOST_TEST(message([] { sch::linear(1, 0, -1); }) ==
             "schedule::linear: iterations is -1; it must be at least 0");
  BOOST_TEST(message([] { sch::step(1, 0.5, 0); }) == "schedule::step: every is 0; it must be at least 1");
  BOOST_TEST(message([] { sch::warm_up(1, {}); }) ==
             "schedule::warm_up: after is empty; it must be a function of an iteration");
  BOOST_TEST(message([] { sch::warmup_stable_decay(1, 0, 5, 6, 10); }) ==
             "schedule::warmup_stable_decay: iterations is 10; it must be at least warmup + decay");
  BOOST_TEST(message([] { sch::one_cycle(1, 10, {.rise = 1}); }) ==
             "schedule::one_cycle: rise is 1.000000; it must be in (0, 1)");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
