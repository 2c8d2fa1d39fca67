#pragma once
/// Device memory from the caching allocator: cudaMalloc takes long, and cudaFree waits for the device.

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdlib>
#include <limits>
#include <string>

#include "cria/backend/cuda/device.hpp"
#include "cria/core/caching_allocator.hpp"

namespace cria::cuda {

/// Where the device's caching allocator gets its blocks from. A block may be handed out while work that used
/// it is still on its way, since the stream finishes that before it starts what comes later.
struct DeviceMemory {
  static constexpr std::size_t smallest_block = 512;

  static void* allocate(std::size_t size) {
    device();
    void* block = nullptr;
    const cudaError_t status = cudaMalloc(&block, size);
    if (status == cudaErrorMemoryAllocation) {
      static_cast<void>(cudaGetLastError());  // it is dealt with
      return nullptr;
    }
    check("cudaMalloc", status);
    return block;
  }
  // An error of an earlier kernel is reported by the next call that can throw.
  static void deallocate(void* block, std::size_t) { static_cast<void>(cudaFree(block)); }
  static std::size_t cache_limit() { return std::numeric_limits<std::size_t>::max(); }
  [[noreturn]] static void out_of_memory(std::size_t size, std::size_t in_use, std::size_t cached) {
    std::size_t free = 0, total = 0;
    check("cudaMemGetInfo", cudaMemGetInfo(&free, &total));
    throw BackendError(
        "cuda: out of memory: " + mebibytes(size) + " were asked for, " + mebibytes(in_use) +
        " are in use by cria, " + mebibytes(cached) + " are cached and " + mebibytes(free) + " of " +
        mebibytes(total) +
        " are free on the device; a smaller batch, shorter sequences or recomputation need less");
  }
  static const void* queue() { return stream(); }

 private:
  static std::string mebibytes(std::size_t bytes) {
    return std::to_string((bytes + (std::size_t{1} << 20) - 1) >> 20) + " MiB";
  }
};

/// The process's allocator, which passes requests through if the environment has CRIA_CUDA_PASS_THROUGH=1.
/// Never destroyed, since tensors may outlive any static object.
CRIA_SHARED inline CachingAllocator<DeviceMemory>& allocator() {
  static auto* instance = [] {
    auto* made = new CachingAllocator<DeviceMemory>;
    const char* pass_through = std::getenv("CRIA_CUDA_PASS_THROUGH");
    made->set_pass_through(pass_through && std::string(pass_through) != "0");
    return made;
  }();
  return *instance;
}

}  // namespace cria::cuda
