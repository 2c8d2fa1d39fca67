#pragma once
/// How far long work is, for whoever waits for it.

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

namespace pretrain {

/// "0:07", "12:34", "3:00:00".
inline std::string clock_text(double seconds) {
  const auto all = static_cast<long long>(seconds);
  char text[32];
  if (all < 3600) {
    std::snprintf(text, sizeof(text), "%lld:%02lld", all / 60, all % 60);
  } else {
    std::snprintf(text, sizeof(text), "%lld:%02lld:%02lld", all / 3600, all / 60 % 60, all % 60);
  }
  return text;
}

/// "label [=====     ]  52%  1234 tokens/s  0:17 left", where `done` of `total` took `seconds`; only the time
/// for work whose total is not known (0). `from` was done before. The bar has `width` letters.
inline std::string progress_text(const std::string& label, const std::string& unit, std::int64_t from,
                                 std::int64_t done, std::int64_t total, double seconds,
                                 std::int64_t width = 30) {
  if (total <= 0) return label + " for " + clock_text(seconds);
  const std::int64_t filled = std::clamp<std::int64_t>(done * width / total, 0, width);
  const std::string bar = std::string(static_cast<std::size_t>(filled), '=') +
                          std::string(static_cast<std::size_t>(width - filled), ' ');
  char share[16];
  std::snprintf(share, sizeof(share), "%3lld%%", static_cast<long long>(done * 100 / total));
  const std::string text = label + " [" + bar + "] " + share;
  if (done <= from || seconds <= 0) return text;
  const double rate = static_cast<double>(done - from) / seconds;
  char speed[32];
  std::snprintf(speed, sizeof(speed), "%.*f", rate < 10 ? 1 : 0, rate);
  return text + "  " + speed + unit + "/s  " + clock_text(static_cast<double>(total - done) / rate) + " left";
}

/// Whether this process tells nobody how far it is: of several processes one speaks for all.
inline bool is_silent = false;
/// From now on, nor does it print anything but errors.
inline void be_silent() {
  is_silent = true;
  [[maybe_unused]] FILE* nowhere = std::freopen("/dev/null", "w", stdout);
}

/// While it lives, says on stderr how far the work is: on a terminal by a bar that is wiped away at the end,
/// with a remark and the time since the work began, elsewhere by a line whenever nothing was said for a
/// while. A thread of its own draws, so work may be silent as long as it likes.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  /// Of `total` things that are called `unit` (" tokens"), `done` are done already. total = 0: nobody knows
  /// how many. `patience` is how long nothing may be said where there is no terminal. Work of which this is a
  /// part `began` before.
  Progress(std::string label, std::int64_t total, std::string unit = "", std::int64_t done = 0,
           std::chrono::seconds patience = std::chrono::seconds(30), Clock::time_point began = Clock::now())
      : label_(std::move(label)),
        unit_(std::move(unit)),
        total_(total),
        from_(done),
        done_(done),
        patience_(patience),
        began_(began),
        thread_([this] { run(); }) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() {
    {
      const std::lock_guard lock(mutex_);
      ends_ = true;
    }
    wake_.notify_all();
    thread_.join();
    wipe();
  }

  /// `done` of the total are done.
  void update(std::int64_t done) {
    done_ = done;
    updated_ = Clock::now();
  }

  /// From now on a terminal shows `text`, too.
  void remark(std::string text) {
    const std::lock_guard lock(mutex_);
    remark_ = "  " + std::move(text);
  }

  /// Calls print(), which writes to the terminal, with the bar out of its way.
  template <class Print>
  void around(Print print) {
    const std::lock_guard lock(mutex_);
    wipe();
    print();
    last_word_ = Clock::now();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    const auto often = is_terminal_ ? std::chrono::milliseconds(100) : std::chrono::seconds(1);
    while (!wake_.wait_for(lock, often, [&] { return ends_; })) draw();
  }

  void draw() {
    const auto now = Clock::now();
    if (is_silent) return;
    if (is_terminal_ ? now - start_ < std::chrono::seconds(1) : now - last_word_ < patience_) return;
    last_word_ = now;
    // The speed is that up to the last update: it must not fall while the next one is waited for.
    const std::chrono::duration<double> taken = (total_ > 0 ? updated_.load() : now) - start_;
    std::string text = progress_text(label_, unit_, from_, done_, total_, taken.count());
    if (is_terminal_) {
      const std::chrono::duration<double> so_far = now - began_;
      const std::string more = total_ > 0 ? remark_ + "  " + clock_text(so_far.count()) + " so far" : "";
      // A remark is worth more than a long bar.
      if (!remark_.empty() && text.size() + more.size() >= columns()) {
        text = progress_text(label_, unit_, from_, done_, total_, taken.count(), 10);
      }
      text += more;
      text.resize(std::min(text.size(), columns() - 1));  // one line, which can be wiped
    }
    std::fprintf(stderr, is_terminal_ ? "\r%s\033[K" : "%s\n", text.c_str());
    is_drawn_ = is_terminal_;
  }

  static std::size_t columns() {
    winsize size{};
    return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
  }

  void wipe() {
    if (std::exchange(is_drawn_, false)) std::fputs("\r\033[K", stderr);
  }

  std::string label_, unit_, remark_;
  std::int64_t total_, from_;
  std::atomic<std::int64_t> done_;
  const std::chrono::seconds patience_;
  const Clock::time_point began_;
  const bool is_terminal_ = ::isatty(STDERR_FILENO) == 1;
  const Clock::time_point start_ = Clock::now();
  std::atomic<Clock::time_point> updated_ = start_;
  Clock::time_point last_word_ = start_;
  bool is_drawn_ = false, ends_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;  // the last member, as it reads the others
};

}  // namespace pretrain
