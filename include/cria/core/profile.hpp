#pragma once
/// Where the time goes, per operation.

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "cria/core/config.hpp"

namespace cria {

/// Seconds by operation, summed up over threads. Thread-safe.
class Profile {
 public:
  struct Times {
    double forward = 0;
    double backward = 0;
    std::int64_t calls = 0;  // forward
  };

  void add(std::string_view operation, const Times& times) {
    const std::lock_guard lock(mutex_);
    Times& sum = times_[std::string(operation)];
    sum.forward += times.forward;
    sum.backward += times.backward;
    sum.calls += times.calls;
  }
  std::map<std::string, Times> times() const {
    const std::lock_guard lock(mutex_);
    return times_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Times> times_;
};

namespace detail {

/// One thread's stopwatch. The time since its last lap belongs to the operation that ends now, so operations
/// need no code of their own; what lies between two of them is counted to the second.
class OperationClock {
 public:
  void restart() { last_ = std::chrono::steady_clock::now(); }
  void end_forward(std::string_view operation) {
    Profile::Times& times = times_[operation];
    times.forward += lap();
    ++times.calls;
  }
  void end_backward(std::string_view operation) { times_[operation].backward += lap(); }

  const std::map<std::string_view, Profile::Times>& times() const { return times_; }

 private:
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  std::map<std::string_view, Profile::Times> times_;
};

CRIA_SHARED inline thread_local OperationClock* operation_clock = nullptr;  // null: nobody asks

/// What happened since the last operation on this thread was the forward part of `operation`.
inline void end_of_operation(std::string_view operation) {
  if (operation_clock) operation_clock->end_forward(operation);
}

}  // namespace detail

/// While one of these lives, the operations of this thread, forward and backward, are timed into `profile`.
class ProfileScope {
 public:
  [[nodiscard("without a name it ends at once")]] explicit ProfileScope(Profile& profile)
      : profile_(profile), previous_(std::exchange(detail::operation_clock, &clock_)) {}
  ~ProfileScope() {
    detail::operation_clock = previous_;
    for (const auto& [operation, times] : clock_.times()) profile_.add(operation, times);
    if (previous_) previous_->restart();
  }
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  Profile& profile_;
  detail::OperationClock clock_;
  detail::OperationClock* previous_;
};

}  // namespace cria
