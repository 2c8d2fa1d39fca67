#pragma once
/// Small arrays on their way to the device, without waiting for it.

#include <cuda_runtime.h>

#include <array>
#include <cstddef>
#include <cstring>

#include "cria/backend/cuda/device.hpp"

namespace cria::cuda {

/// Copies host arrays to the device through page-locked memory: from ordinary memory CUDA may first wait for
/// the work that the stream has. The host waits for nothing but the fourth copy before.
class Staging {
 public:
  /// That of the calling thread.
  static Staging& of_thread() {
    static thread_local Staging instance;
    return instance;
  }

  Staging() = default;
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  /// `from` may be changed as soon as this returns; `to` is for work that is submitted to this thread's
  /// stream later.
  void copy(void* to, const void* from, std::size_t bytes) {
    if (bytes == 0) return;
    if (is_captured()) {
      throw BackendError("cuda: lists of tensors, as an optimiser's step has, cannot be captured in a graph");
    }
    Slot& slot = slots_[next_];
    next_ = (next_ + 1) % slots_.size();
    slot.wait();
    slot.grow(bytes);
    std::memcpy(slot.host, from, bytes);
    check("cudaMemcpyAsync", cudaMemcpyAsync(to, slot.host, bytes, cudaMemcpyHostToDevice, stream()));
    check("cudaEventRecord", cudaEventRecord(slot.copied, stream()));
  }

 private:
  /// Page-locked memory, and the end of the copy from it.
  struct Slot {
    void* host = nullptr;
    std::size_t size = 0;
    cudaEvent_t copied = nullptr;

    Slot() = default;
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    ~Slot() {
      if (!host) return;
      static_cast<void>(cudaEventSynchronize(copied));
      static_cast<void>(cudaEventDestroy(copied));
      static_cast<void>(cudaFreeHost(host));
    }

    void wait() const {
      if (host) check("cudaEventSynchronize", cudaEventSynchronize(copied));
    }
    void grow(std::size_t bytes) {
      if (bytes <= size) return;
      if (!host) check("cudaEventCreateWithFlags", cudaEventCreateWithFlags(&copied, cudaEventDisableTiming));
      void* larger = nullptr;
      check("cudaMallocHost", cudaMallocHost(&larger, 2 * bytes));
      static_cast<void>(cudaFreeHost(host));
      host = larger;
      size = 2 * bytes;
    }
  };

  std::array<Slot, 4> slots_;
  std::size_t next_ = 0;
};

}  // namespace cria::cuda
