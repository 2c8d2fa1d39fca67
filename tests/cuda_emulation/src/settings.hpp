#pragma once
/// What the environment or a test has chosen: schedules and the device that is emulated.

#include <cstddef>
#include <cstdint>

#include "cuda_emulation/control.hpp"

namespace cuda_emulation {

struct Schedule {
  Order order;
  std::uint32_t seed;
};
Schedule schedule();

bool lazy_streams();

/// The emulated device; by default as an A100, but for its memory.
///   CUDA_EMULATION_DEVICE=none|old_driver           there is no device; its driver is too old
///   CUDA_EMULATION_DEVICES=4                        there are several, of which a process uses one
///   CUDA_EMULATION_COMPUTE_CAPABILITY=7.5           another generation
///   CUDA_EMULATION_MEMORY_MIB=64                    another size of memory
struct Device {
  DeviceState state;
  int major, minor;
  std::size_t memory;

  /// Shared memory that a block may have: without asking, and at most.
  static constexpr std::size_t kSharedMemory = 48 << 10;
  std::size_t max_shared_memory() const;
};
const Device& device();
int device_count();

/// Bytes of a thread's stack: CUDA_EMULATION_STACK_KIB.
std::size_t stack_size();

}  // namespace cuda_emulation
