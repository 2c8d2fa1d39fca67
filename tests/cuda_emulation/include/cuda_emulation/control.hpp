#pragma once
/// What a test can ask of the emulation: schedules, stream modes, reports.

#include <cstdint>
#include <string>

namespace cuda_emulation {

/// In which order blocks, warps and threads run where CUDA leaves it open.
enum class Order { forward, reverse, random };

/// Initially CUDA_EMULATION_ORDER=forward|reverse|random:SEED, else forward.
void set_order(Order order, std::uint32_t seed = 1);

/// synchronous: work runs when it is submitted. lazy: nothing runs before somebody waits for it, so that a
/// missing synchronisation shows as stale data.
enum class Streams { synchronous, lazy };

/// Initially CUDA_EMULATION_STREAMS=synchronous|lazy, else synchronous. Finishes the work that is pending.
void set_streams(Streams streams);

/// How many bugs were reported so far (on stderr), the text of the first since the last clear, and a fresh
/// start: clears the count, the text and the error that every call of the runtime returns after a kernel
/// failed.
int report_count();
std::string first_report();
void clear_reports();

/// For the life of this object the emulated device (nothing to do with the environment's one) has this
/// compute capability, memory and state; for tests of what a program says about devices that it cannot use.
enum class DeviceState { present, none, old_driver };
class DeviceOverride {
 public:
  explicit DeviceOverride(DeviceState state, int major = 8, int minor = 0, std::uint64_t memory = 0);
  ~DeviceOverride();
  DeviceOverride(const DeviceOverride&) = delete;
  DeviceOverride& operator=(const DeviceOverride&) = delete;
};

}  // namespace cuda_emulation
