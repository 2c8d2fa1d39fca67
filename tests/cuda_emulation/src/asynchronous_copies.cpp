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
  std::uint64_t block = 0;
  std::vector<PendingCopy> copies;
};

Pending& of_running_thread() {
  static thread_local std::array<Pending, 1024> pending;
  const Scheduler& scheduler = *Scheduler::running;
  Pending& of_thread = pending[scheduler.thread()];
  if (of_thread.block != scheduler.blocks_run()) of_thread = {scheduler.blocks_run(), {}};
  return of_thread;
}

}  // namespace

void begin_copy(const PendingCopy& copy) {
  const Scheduler::Aside aside(*Scheduler::running);
  of_running_thread().copies.push_back(copy);
}

bool take_pending_copy(PendingCopy& copy) {
  const Scheduler::Aside aside(*Scheduler::running);
  auto& copies = of_running_thread().copies;
  if (copies.empty()) return false;
  copy = copies.back();
  copies.pop_back();
  return true;
}

}  // namespace cuda_emulation
