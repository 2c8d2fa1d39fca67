#pragma once
/// The checker of the chk flavour: sees every access of the program's code to memory.

#include <cstdint>

#include "scheduler.hpp"

namespace cuda_emulation {

struct Access {
  std::uintptr_t address;
  unsigned size;
  bool write, atomic;
  const void* code;  // where the access returns to
  bool misaligned = false;
};

/// An access of a kernel to something else than its thread's stack, and of the host to device memory.
void check_kernel_access(Scheduler& scheduler, const Access& access);
void check_host_access(const Access& access);

/// Sorts out accesses that are not of interest, which are most.
[[gnu::always_inline]] inline void check_access(const volatile void* address, unsigned size, bool write,
                                                bool atomic, const void* code, bool misaligned = false) {
  const Access access{reinterpret_cast<std::uintptr_t>(address), size, write, atomic, code, misaligned};
  Scheduler* const scheduler = Scheduler::running;
  if (!scheduler) return check_host_access(access);
  if (!scheduler->in_thread()) return;
  const Fiber& fiber = scheduler->current();
  if (access.address - reinterpret_cast<std::uintptr_t>(fiber.stack) >= fiber.stack_size)
    check_kernel_access(*scheduler, access);
}

/// Counting of accesses by line (CUDA_EMULATION_LINES).
extern bool line_counting_enabled;
void begin_line_counting(const Scheduler& scheduler);
void count_line(const Scheduler& scheduler, const Access& access, bool shared);
/// A lane reads a constant by an instruction that others read memory by: it takes part and moves nothing.
void count_idle_lane(const Scheduler& scheduler, const Access& access);
void end_line_counting(const Scheduler& scheduler);

}  // namespace cuda_emulation
