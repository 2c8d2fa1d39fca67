#pragma once

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string_view>

namespace pretrain {

/// While one of these lives, the first SIGINT or SIGTERM, or SIGUSR1, which mpirun passes on to all processes,
/// only sets a flag, and says so on a terminal: the loop can finish its iteration and save. A second one ends
/// the program as usual.
class StopSignal {
 public:
  StopSignal() {
    flag() = 0;
    struct sigaction action {};
    action.sa_handler = [](int) {
      const int before = errno;  // of what was interrupted
      flag() = 1;
      // In the place of a bar, if one is drawn.
      constexpr std::string_view text = "\r\033[Kstopping after this iteration; once more stops at once\n";
      if (isatty(STDERR_FILENO) == 1) {
        [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
      }
      errno = before;
    };
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
    sigaction(SIGINT, &action, &interrupt_);
    sigaction(SIGTERM, &action, &terminate_);
    sigaction(SIGUSR1, &action, &user_);
  }
  ~StopSignal() {
    sigaction(SIGINT, &interrupt_, nullptr);
    sigaction(SIGTERM, &terminate_, nullptr);
    sigaction(SIGUSR1, &user_, nullptr);
  }
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  bool requested() const { return flag() != 0; }

 private:
  static volatile std::sig_atomic_t& flag() {
    static volatile std::sig_atomic_t value = 0;
    return value;
  }
  struct sigaction interrupt_ {};
  struct sigaction terminate_ {};
  struct sigaction user_ {};
};

}  // namespace pretrain
