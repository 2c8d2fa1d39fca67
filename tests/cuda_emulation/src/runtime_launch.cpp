// Launches, and attributes of kernels.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <unordered_map>

#include "counters.hpp"
#include "cuda_emulation/launch.hpp"
#include "memory.hpp"
#include "report.hpp"
#include "runtime.hpp"
#include "scheduler.hpp"
#include "settings.hpp"
#include "streams.hpp"
#include "symbols.hpp"

namespace cuda_emulation {
namespace {

// What kernels may have of dynamic shared memory, where it was raised.
std::unordered_map<const void*, std::size_t> raised_shared_memory;

// As if every kernel had so much of static shared memory, since what it has the emulation cannot see: the
// most that tests/cuda/nvcc.cmake lets one have.
constexpr std::size_t kStaticSharedMemory = 16384;

std::size_t allowed_shared_memory(const void* function) {
  const auto found = raised_shared_memory.find(function);
  return found == raised_shared_memory.end() ? Device::kSharedMemory - kStaticSharedMemory : found->second;
}

void run_grid(const Grid& grid) {
  const int reports = report_count();
  {
    const DeviceMemory::Access access;
    Scheduler::of_this_thread().run(grid);
    DeviceMemory::instance().check_red_zones(grid.name.c_str());
  }
  const std::uint64_t blocks = std::uint64_t{grid.blocks.x} * grid.blocks.y * grid.blocks.z;
  KernelCounters& counters = counters_of(grid.name);
  ++counters.launches;
  counters.blocks += blocks;
  counters.threads += blocks * grid.threads.x * grid.threads.y * grid.threads.z;
  if (report_count() != reports) fail_for_good();
}

}  // namespace

cudaError_t launch(const cudaLaunchConfig_t& config, const void* function,
                   void (*run_thread)(const void* arguments), const void* arguments, std::size_t size) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  const dim3 blocks = config.gridDim, threads = config.blockDim;
  const std::string name = function_name(function);
  const std::uint64_t block_size = std::uint64_t{threads.x} * threads.y * threads.z;
  if (block_size == 0 || block_size > 1024 || threads.z > 64 || blocks.x == 0 || blocks.y == 0 ||
      blocks.z == 0 || blocks.x > 0x7FFFFFFFu || blocks.y > 65535 || blocks.z > 65535) {
    report("%s: a grid of %ux%ux%u blocks of %ux%ux%u threads cannot be launched", name.c_str(), blocks.x,
           blocks.y, blocks.z, threads.x, threads.y, threads.z);
    return remember(cudaErrorInvalidConfiguration);
  }
  if (config.dynamicSmemBytes > allowed_shared_memory(function)) {
    report(
        "%s: %zu bytes of dynamic shared memory, but beside its static arrays the kernel is allowed %zu; "
        "cudaFuncSetAttribute raises it",
        name.c_str(), config.dynamicSmemBytes, allowed_shared_memory(function));
    return remember(cudaErrorInvalidValue);
  }
  if (config.numAttrs != 0) {
    report("%s: launch attributes are not emulated", name.c_str());
    return remember(cudaErrorNotSupported);
  }
  const std::shared_ptr<std::byte[]> copy(new std::byte[size]);
  std::memcpy(copy.get(), arguments, size);
  Grid grid{{function, run_thread, copy, size}, name, blocks, threads, config.dynamicSmemBytes};
  return remember(submit(config.stream, [grid = std::move(grid)] { run_grid(grid); }));
}

}  // namespace cuda_emulation

using namespace cuda_emulation;

extern "C" {

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
      static_cast<std::size_t>(value) + kStaticSharedMemory > device().max_shared_memory())
    return remember(cudaErrorInvalidValue);
  raised_shared_memory[function] = static_cast<std::size_t>(value);
  return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  *attributes = {};
  attributes->maxThreadsPerBlock = 1024;
  attributes->numRegs = 32;
  attributes->sharedSizeBytes = kStaticSharedMemory;
  attributes->binaryVersion = attributes->ptxVersion = device().major * 10 + device().minor;
  attributes->maxDynamicSharedSizeBytes = static_cast<int>(allowed_shared_memory(function));
  return cudaSuccess;
}

// As if every kernel had 32 registers a thread and no static shared memory.
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int block_size,
                                                          std::size_t dynamic_shared_memory) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  if (block_size <= 0 || block_size > 1024) return remember(cudaErrorInvalidValue);
  const std::size_t by_memory = (device().max_shared_memory() + 1024) / (dynamic_shared_memory + 1024);
  *blocks = std::min({32, 2048 / ((block_size + 31) / 32 * 32), static_cast<int>(by_memory)});
  return cudaSuccess;
}

}  // extern "C"
