#pragma once
/// The checker of the chk flavour: sees every access of the program's code to memory.

#include <cstdint>

namespace cuda_emulation {

class Scheduler;

struct Access {
  std::uintptr_t address;
  unsigned size;
  bool write, atomic;
  const void* code;  // where the access returns to
};

void check_access(const Access& access);

/// Counting of accesses by line (CUDA_EMULATION_LINES).
void begin_line_counting(const Scheduler& scheduler);
void count_line(const Scheduler& scheduler, const Access& access, bool shared);
void end_line_counting(const Scheduler& scheduler);

}  // namespace cuda_emulation
