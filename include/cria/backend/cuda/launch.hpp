#pragma once
/// How kernels are started.

#include <cuda_runtime.h>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "cria/backend/cuda/device.hpp"

namespace cria::cuda {

/// How many blocks, and who asks for them. Throws BackendError for more than a launch can have.
struct Grid {
  dim3 blocks;
  Place place;

  Grid(dim3 count, Place from = {}) : blocks(count), place(from) {}
  Grid(std::integral auto count, Place from = {}) : blocks(static_cast<unsigned>(count)), place(from) {
    if (static_cast<std::int64_t>(count) <= 0x7FFFFFFF) return;
    throw BackendError("cuda: " + std::to_string(count) + " blocks were asked for at " + to_string(from) +
                       "; a launch has at most 2147483647, so this tensor is too large");
  }
};

namespace detail {

/// Lets `kernel` have all the dynamic shared memory that the device has beside the kernel's static arrays:
/// without asking it may have 48 KiB of both together. All, since CUDA keeps one limit for a kernel, and a
/// thread that needs less must not lower it for the others. Throws BackendError if `bytes` are more.
inline void allow_shared_memory(const void* kernel, std::size_t bytes, Place place) {
  static thread_local std::unordered_map<const void*, std::size_t> allowed;
  const auto limit = static_cast<std::size_t>(device().shared_memory);
  std::size_t& most = allowed[kernel];  // 0: not asked yet
  if (most == 0) {
    cudaFuncAttributes attributes{};
    check("cudaFuncGetAttributes", cudaFuncGetAttributes(&attributes, kernel), place);
    const std::size_t beside = limit - attributes.sharedSizeBytes;
    check("cudaFuncSetAttribute",
          cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(beside)),
          place);
    most = beside;
  }
  if (bytes <= most) return;
  throw BackendError("cuda: a kernel at " + to_string(place) + " needs " +
                     std::to_string(bytes + limit - most) +
                     " bytes of shared memory for a block; the device has " + std::to_string(limit) +
                     ", so the last dimension is too long for it");
}

}  // namespace detail

/// Runs kernel(arguments...) on this thread's stream: `grid` blocks of `block` threads with `shared_memory`
/// bytes of dynamic shared memory. An empty grid does nothing. Throws BackendError if the launch is refused.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), Grid grid, dim3 block, std::size_t shared_memory,
            Arguments&&... arguments) {
  if (grid.blocks.x == 0 || grid.blocks.y == 0 || grid.blocks.z == 0) return;
  cudaLaunchConfig_t config{};
  config.gridDim = grid.blocks;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_memory;
  config.stream = stream();
  // Asked for early enough that 16 KiB of static arrays fit, too.
  if (shared_memory > 32 * 1024) {
    detail::allow_shared_memory(reinterpret_cast<const void*>(kernel), shared_memory, grid.place);
  }
  check("cudaLaunchKernelEx", cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...),
        grid.place);
}

/// Threads of a block where nothing speaks for another number.
inline constexpr int block_size = 256;

/// How many such blocks are to share a multiprocessor, in kernels that divide or have elementary functions:
/// around those of double ptxas spills registers to have room for more blocks, unless it is told. 0: as many
/// as it likes.
template <class T>
inline constexpr int shared_by_blocks = sizeof(T) == sizeof(double) ? 4 : 0;
/// The same for every type, in kernels of whole formulas with derivatives and in those with many divisions of
/// indices.
inline constexpr int sharing_blocks = 4;

/// Blocks for a loop over `count` items in strides of the grid: enough to fill the device, no more than
/// needed.
inline unsigned grid_for(std::int64_t count) {
  const std::int64_t needed = (count + block_size - 1) / block_size;
  return static_cast<unsigned>(std::min<std::int64_t>(needed, std::int64_t{8} * device().multiprocessors));
}

/// This thread's first item of such a loop, and the step to the next.
__device__ __forceinline__ std::int64_t first_item() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ __forceinline__ std::int64_t item_stride() {
  return static_cast<std::int64_t>(gridDim.x) * blockDim.x;
}

}  // namespace cria::cuda
