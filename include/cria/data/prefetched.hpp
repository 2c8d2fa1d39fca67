#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

namespace cria::data::detail {

/// make(0), make(1), ... make(count - 1), computed on a thread of its own while the caller uses those before:
/// one waits to be taken while the next is made. The destructor waits for the one that is being made.
template <class R>
class Prefetched {
 public:
  template <class Make>
  Prefetched(std::int64_t count, Make make)
      : thread_([this, count, make = std::move(make)](std::stop_token stop) { run(count, make, stop); }) {}
  Prefetched(const Prefetched&) = delete;
  Prefetched& operator=(const Prefetched&) = delete;

  /// The next result, for `count` calls. Throws what make threw in its place.
  R next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return result_ || error_; });
    if (!result_) std::rethrow_exception(error_);
    R result = std::move(*result_);
    result_.reset();
    changed_.notify_one();
    return result;
  }

 private:
  template <class Make>
  void run(std::int64_t count, const Make& make, std::stop_token stop) {
    try {
      for (std::int64_t i = 0; i < count; ++i) {
        R result = make(i);
        std::unique_lock lock(mutex_);
        if (!changed_.wait(lock, stop, [&] { return !result_; })) return;
        result_ = std::move(result);
        changed_.notify_one();
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      error_ = std::current_exception();
      changed_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<R> result_;
  std::exception_ptr error_;
  std::jthread thread_;  // the last member: it is stopped and waited for before the others go
};

}  // namespace cria::data::detail
