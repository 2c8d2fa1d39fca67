// What cp.async has begun. Apart from the instructions, so that the checker does not take this for the work
// of a kernel.

#include <array>
#include <utility>
#include <vector>

#include "cuda_emulation/tensor_core.hpp"
#include "scheduler.hpp"

namespace cuda_emulation {

namespace {

/// The copies of a thread; of which block, since a block may end without waiting for them.
struct Pending {
  const Grid* grid = nullptr;
  std::uint64_t block = 0;
  std::vector<PendingCopy> copies;
};

Pending& of_running_thread() {
  static thread_local std::array<Pending, 1024> pending;
  const Scheduler& scheduler = *Scheduler::running;
  Pending& of_thread = pending[scheduler.thread()];
  if (of_thread.grid != &scheduler.grid() || of_thread.block != scheduler.block()) {
    of_thread = {&scheduler.grid(), scheduler.block(), {}};
  }
  return of_thread;
}

}  // namespace

void begin_copy(const PendingCopy& copy) {
  of_running_thread().copies.push_back(copy);
}

bool take_pending_copy(PendingCopy& copy) {
  auto& copies = of_running_thread().copies;
  if (copies.empty()) return false;
  copy = copies.back();
  copies.pop_back();
  return true;
}

}  // namespace cuda_emulation
