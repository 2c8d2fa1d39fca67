#pragma once
/// What nvcc and the emulation of CUDA spell differently; the only file of this folder's kernels that asks
/// which of them compiles.

#include <cuda_runtime.h>

namespace cria::cuda {

/// The block's dynamic shared memory, aligned to 128 bytes.
__device__ __forceinline__ void* dynamic_shared_memory() {
#ifdef CRIA_CUDA_EMULATION
  return cuda_emulation::dynamic_shared_memory();
#else
  extern __shared__ __align__(128) unsigned char cria_dynamic_shared_memory[];
  return cria_dynamic_shared_memory;
#endif
}

}  // namespace cria::cuda
