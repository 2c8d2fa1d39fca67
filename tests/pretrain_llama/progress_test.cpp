#include "pretrain_llama/progress.hpp"

#include <boost/test/unit_test.hpp>

#include "support/small_run.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(progress)

namespace {
using namespace pretrain;
}

BOOST_AUTO_TEST_CASE(times_read_like_a_clock) {
  BOOST_TEST(clock_text(7.9) == "0:07");
  BOOST_TEST(clock_text(754) == "12:34");
  BOOST_TEST(clock_text(10800) == "3:00:00");
}

BOOST_AUTO_TEST_CASE(a_bar_shows_share_speed_and_time_left) {
  BOOST_TEST(progress_text("training", " tokens", 0, 500, 1000, 10) ==
             "training [===============               ]  50%  50 tokens/s  0:10 left");
  // What was done before this process took no time of it.
  BOOST_TEST(progress_text("training", " tokens", 400, 500, 1000, 10) ==
             "training [===============               ]  50%  10 tokens/s  0:50 left");
  BOOST_TEST(progress_text("evaluating", "", 0, 1, 4, 4) ==
             "evaluating [=======                       ]  25%  0.2/s  0:12 left");
  BOOST_TEST(progress_text("evaluating", "", 0, 0, 4, 4) ==
             "evaluating [                              ]   0%");
  BOOST_TEST(progress_text("Training the vocabulary", "", 0, 0, 0, 61) == "Training the vocabulary for 1:01");
}

BOOST_AUTO_TEST_CASE(where_nobody_watches_nothing_is_drawn) {
  const cria::test::TemporaryDirectory folder;
  const auto outcome = cria::test::run(
      cria::test::small_training(cria::test::small_data().data_dir(), folder / "run", {"--max_iters=3"}));
  BOOST_TEST(outcome.exit_code == 0);
  BOOST_TEST(outcome.errors == "");
  BOOST_TEST(outcome.output.find('\r') == std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
