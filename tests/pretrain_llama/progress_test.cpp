#include "pretrain_llama/progress.hpp"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cmath>
#include <string>
#include <thread>

#include "cria/io/file.hpp"
#include "pretrain_llama/loss_trend.hpp"
#include "support/small_run.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(progress)

namespace {

using namespace pretrain;

/// Closes a file at its end.
class Descriptor {
 public:
  Descriptor(int number) : number_(number) { BOOST_TEST_REQUIRE(number >= 0); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(number_); }
  operator int() const { return number_; }

 private:
  int number_;
};

/// While it lives, what is written to stderr goes to a file.
class Redirected {
 public:
  explicit Redirected(int file) : before_(::dup(STDERR_FILENO)) { ::dup2(file, STDERR_FILENO); }
  Redirected(const Redirected&) = delete;
  Redirected& operator=(const Redirected&) = delete;
  ~Redirected() { ::dup2(before_, STDERR_FILENO); }

 private:
  Descriptor before_;
};

/// What comes from a terminal, to the end of `text`; all that there was if it does not come for a minute.
std::string read_until(int terminal, const std::string& text) {
  std::string got;
  pollfd ready{terminal, POLLIN, 0};
  char next = 0;
  while (got.find(text) == std::string::npos && ::poll(&ready, 1, 60'000) == 1 &&
         ::read(terminal, &next, 1) == 1) {
    got += next;
  }
  return got;
}

}  // namespace

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

BOOST_AUTO_TEST_CASE(on_a_terminal_a_bar_is_wiped_away_around_what_is_printed) {
  const Descriptor terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  BOOST_TEST_REQUIRE((::grantpt(terminal) == 0 && ::unlockpt(terminal) == 0));
  const Descriptor screen = ::open(::ptsname(terminal), O_RDWR | O_NOCTTY);
  winsize size{};
  size.ws_col = 50;
  BOOST_TEST_REQUIRE(::ioctl(screen, TIOCSWINSZ, &size) == 0);
  {
    const Redirected errors(screen);
    Progress progress("training", 1000, " tokens");
    progress.update(500);
    // The bar is as wide as the terminal at most.
    const std::string bar = "\rtraining [===============               ]  50%";
    std::string drawn = read_until(terminal, "\033[K");
    BOOST_TEST(drawn.starts_with(bar), drawn);
    BOOST_TEST(drawn.size() <= std::string("\r").size() + 49 + std::string("\033[K").size());
    progress.around([] { std::fputs("a line\n", stderr); });
    const std::string around = read_until(terminal, "a line");
    BOOST_TEST(around.ends_with("\r\033[Ka line"), around);
    read_until(terminal, bar);
  }
  BOOST_TEST(read_until(terminal, "\r\033[K").ends_with("\r\033[K"));
}

BOOST_AUTO_TEST_CASE(a_terminal_shows_a_remark_and_the_time_since_work_began) {
  const Descriptor terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  BOOST_TEST_REQUIRE((::grantpt(terminal) == 0 && ::unlockpt(terminal) == 0));
  const Descriptor screen = ::open(::ptsname(terminal), O_RDWR | O_NOCTTY);
  const auto drawn = [&](int columns) {
    winsize size{};
    size.ws_col = static_cast<unsigned short>(columns);
    BOOST_TEST_REQUIRE(::ioctl(screen, TIOCSWINSZ, &size) == 0);
    const Redirected errors(screen);
    Progress progress("training", 1000, "", 0, std::chrono::seconds(30),
                      Progress::Clock::now() - std::chrono::minutes(61));
    progress.remark("loss 2.5000 (-0.0500)");
    progress.update(500);
    return read_until(terminal, "\033[K");
  };
  const std::string wide = drawn(120);
  BOOST_TEST(wide.starts_with("\rtraining [===============               ]  50%  "), wide);
  BOOST_TEST(wide.find(" left  loss 2.5000 (-0.0500)  1:01:0") != std::string::npos, wide);
  BOOST_TEST(wide.ends_with(" so far\033[K"), wide);
  read_until(terminal, "\r\033[K");  // wiped
  // Where there is less room the bar is short.
  const std::string narrow = drawn(80);
  BOOST_TEST(narrow.starts_with("\rtraining [=====     ]  50%  "), narrow);
  BOOST_TEST(narrow.find(" left  loss 2.5000 (-0.0500)  ") != std::string::npos, narrow);
}

BOOST_AUTO_TEST_CASE(a_trend_is_the_change_over_the_last_100_iterations) {
  LossTrend trend;
  trend.add(3);
  BOOST_TEST(trend.text() == "loss 3.0000 (+0.0000)");
  trend.add(2.5);
  BOOST_TEST(trend.text() == "loss 2.5000 (-0.5000)");
  // A line that noise lies on, alternating and on both sides the same; what was before is forgotten.
  for (int i = 0; i < 300; ++i) trend.add(9 - 0.01 * i + (i % 4 == 0 || i % 4 == 3 ? 0.5 : -0.5));
  BOOST_TEST(trend.change() == -0.99, boost::test_tools::tolerance(1e-9));
  trend.add(std::nan(""));
  BOOST_TEST(std::isnan(trend.change()));
}

BOOST_AUTO_TEST_CASE(elsewhere_silent_work_says_how_far_it_is_by_a_line) {
  const cria::test::TemporaryDirectory folder;
  const Descriptor file = ::open((folder / "errors").c_str(), O_RDWR | O_CREAT | O_APPEND, 0600);
  const auto said = [&] { return cria::io::read_file(folder / "errors"); };
  {
    const Redirected errors(file);
    Progress progress("Encoding", 4, "", 0, std::chrono::seconds(1));
    progress.update(2);
    for (int wait = 0; wait < 6000 && said().find('\n') == std::string::npos; ++wait) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  BOOST_TEST(said().starts_with("Encoding [===============               ]  50%  "), said());
  BOOST_TEST(said().ends_with(" left\n"), said());
  BOOST_TEST(said().find('\r') == std::string::npos);
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
