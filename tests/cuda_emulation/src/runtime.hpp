#pragma once
/// What the functions of the runtime share.

#include <mutex>

#include "cuda_runtime_api.h"

namespace cuda_emulation {

/// The runtime is one state; a call holds this lock. Kernels run under it, so host threads take turns.
class RuntimeLock {
 public:
  RuntimeLock();

 private:
  std::unique_lock<std::recursive_mutex> lock_;
};

/// Remembers the error for cudaGetLastError, unless it is cudaSuccess; returns it.
cudaError_t remember(cudaError_t error);

/// After a bug in a kernel every call returns cudaErrorLaunchFailure, as on a device.
void fail_for_good();
void clear_errors();

/// The error that makes every call fail: a kernel failed, or there is no device to use; else cudaSuccess.
cudaError_t standing_error();

}  // namespace cuda_emulation
