#pragma once
/// A progress bar on the terminal.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>

namespace pretrain {

/// Draws "label [=====     ]  52%  1234/s  ETA 0:17" on stderr while it lives and wipes it away at the end.
/// Draws nothing in the first second, nor when stderr is not a terminal.
class Progress {
 public:
  Progress(std::string label, std::int64_t total)
      : label_(std::move(label)), total_(std::max<std::int64_t>(total, 1)) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() {
    if (drawn_) std::fputs("\r\033[K", stderr);
  }

  /// `done` of the total are done.
  void update(std::int64_t done) {
    const auto now = Clock::now();
    if (!is_terminal_ || now < next_drawing_) return;
    next_drawing_ = now + std::chrono::milliseconds(100);
    drawn_ = true;
    constexpr std::int64_t width = 30;
    const std::int64_t filled = std::clamp<std::int64_t>(done * width / total_, 0, width);
    const double rate = static_cast<double>(done) / std::chrono::duration<double>(now - start_).count();
    const auto seconds = static_cast<long long>(rate > 0 ? static_cast<double>(total_ - done) / rate : 0);
    const std::string bar = std::string(static_cast<std::size_t>(filled), '=') +
                            std::string(static_cast<std::size_t>(width - filled), ' ');
    std::fprintf(stderr, "\r%s [%s] %3lld%%  %.0f/s  ETA %lld:%02lld\033[K", label_.c_str(), bar.c_str(),
                 static_cast<long long>(done * 100 / total_), rate, seconds / 60, seconds % 60);
  }

 private:
  using Clock = std::chrono::steady_clock;

  std::string label_;
  std::int64_t total_;
  bool is_terminal_ = ::isatty(STDERR_FILENO) == 1;
  bool drawn_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point next_drawing_ = start_ + std::chrono::seconds(1);
};

}  // namespace pretrain
