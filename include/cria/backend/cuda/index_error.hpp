#pragma once
/// Tokens and targets that are out of range. A kernel cannot throw and the host does not wait for it, so the
/// kernel leaves a note in device memory, which the host reads when it waits for the stream anyway.

#include <cuda_runtime.h>

#include <atomic>
#include <cstdint>

#include "cria/backend/cuda/device.hpp"
#include "cria/core/check.hpp"

namespace cria::cuda {

/// The first index that was out of range since the last note was read.
struct IndexError {
  enum Kind : std::int32_t { none, embedding_token, cross_entropy_target, linear_cross_entropy_target };

  Kind kind;
  std::int32_t value;
  std::int32_t ignored;
  std::int64_t position;
  std::int64_t bound;
};

/// Where kernels leave their note, and when to look at it.
class IndexErrorNote {
 public:
  /// The note in device memory, for a kernel that is about to be launched on this thread's stream.
  IndexError* for_kernel() {
    pending_ = true;
    return note_;
  }

  /// Waits for this thread's stream. Throws ShapeError if a kernel left a note, and clears that.
  void synchronize(Place place) {
    IndexError error{};
    if (pending_.exchange(false)) {
      check("cudaMemcpyAsync",
            cudaMemcpyAsync(&error, note_, sizeof(error), cudaMemcpyDeviceToHost, stream()), place);
    }
    check("cudaStreamSynchronize", cudaStreamSynchronize(stream()), place);
    if (error.kind == IndexError::none) return;
    clear();
    if (error.kind == IndexError::embedding_token) {
      cria::check::fail_token("embedding", error.position, error.value, error.bound);
    }
    cria::check::fail_target(
        error.kind == IndexError::cross_entropy_target ? "cross_entropy" : "linear_cross_entropy",
        error.position, error.value, error.bound, error.ignored);
  }

  /// The process's note. Never destroyed, as the allocator is not.
  CRIA_SHARED static IndexErrorNote& instance() {
    static auto* instance = new IndexErrorNote;
    return *instance;
  }

 private:
  IndexErrorNote() {
    device();
    check("cudaMalloc", cudaMalloc(reinterpret_cast<void**>(&note_), sizeof(IndexError)));
    clear();
  }
  void clear() { check("cudaMemsetAsync", cudaMemsetAsync(note_, 0, sizeof(IndexError), stream())); }

  IndexError* note_ = nullptr;
  std::atomic<bool> pending_ = false;
};

}  // namespace cria::cuda
