#pragma once
/// threadIdx and its kin, barriers, fences, and dynamic shared memory: what a thread sees of its grid.

#include <cstddef>

#include "cuda_emulation/site.hpp"
#include "vector_types.h"

// constinit: an access is one load, without a call of an initialiser.
extern constinit thread_local uint3 threadIdx;
extern constinit thread_local uint3 blockIdx;
extern constinit thread_local dim3 blockDim;
extern constinit thread_local dim3 gridDim;
inline constexpr int warpSize = 32;

namespace cuda_emulation {

/// Suspends the calling thread until all threads of its block that still run have come to the same line.
void block_barrier(Site site);

/// A fence; together with an atomic operation after it, it publishes what the block wrote (to the checker).
void fence();

/// The block's dynamic shared memory, filled with NaN when the block starts, aligned to 1024 bytes.
void* dynamic_shared_memory();

}  // namespace cuda_emulation

inline void __syncthreads(cuda_emulation::Site site = cuda_emulation::Site::current()) {
  cuda_emulation::block_barrier(site);
}
inline void __threadfence() {
  cuda_emulation::fence();
}
inline void __threadfence_block() {}
inline void __threadfence_system() {
  cuda_emulation::fence();
}
