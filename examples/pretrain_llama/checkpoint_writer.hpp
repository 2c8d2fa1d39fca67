#pragma once
/// Checkpoints that are written while training goes on.

#include <atomic>
#include <exception>
#include <functional>
#include <thread>
#include <utility>

namespace pretrain {

/// Does one piece of work at a time on a thread of its own.
class CheckpointWriter {
 public:
  CheckpointWriter() = default;
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;
  /// Waits for the work; what that throws is lost then.
  ~CheckpointWriter() {
    if (thread_.joinable()) thread_.join();
  }

  /// Begins `work` after that before. Throws what that has thrown.
  void start(std::function<void()> work) {
    wait();
    is_done_ = false;
    thread_ = std::thread([this, work = std::move(work)] {
      try {
        work();
      } catch (...) {
        failure_ = std::current_exception();
      }
      is_done_ = true;
    });
  }
  /// Returns when the work is done. Throws what it has thrown.
  void wait() {
    if (thread_.joinable()) thread_.join();
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }
  /// Throws what the work has thrown, if it has ended by now.
  void check() {
    if (is_done_) wait();
  }

 private:
  std::exception_ptr failure_;
  std::atomic<bool> is_done_ = false;
  std::thread thread_;
};

}  // namespace pretrain
