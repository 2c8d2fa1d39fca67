#pragma once
/// Device memory: a caching allocator, because cudaMalloc takes long and waits for the device.

#include <cuda_runtime.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "cria/backend/cuda/device.hpp"
#include "cria/core/view.hpp"

namespace cria::cuda {

/// Keeps freed blocks for the next request of the same size on the same stream. A block may be handed out
/// while work that used it is still on its way, since the stream finishes that before it starts what comes
/// later. Thread-safe.
class CachingAllocator {
 public:
  struct Statistics {
    std::size_t in_use = 0;              // bytes handed out
    std::size_t peak_in_use = 0;         // the most of them at any moment
    std::size_t cached = 0;              // bytes kept for later
    std::size_t system_allocations = 0;  // requests that reached the driver
  };

  CachingAllocator() {
    const char* pass_through = std::getenv("CRIA_CUDA_PASS_THROUGH");
    pass_through_ = pass_through && std::string(pass_through) != "0";
  }

  /// While this is on, initially if the environment has CRIA_CUDA_PASS_THROUGH=1, every request is a
  /// cudaMalloc of its own with exactly its size, so that tools see what is used too late or too far.
  void set_pass_through(bool on) {
    const std::lock_guard lock(mutex_);
    pass_through_ = on;
  }
  bool pass_through() const {
    const std::lock_guard lock(mutex_);
    return pass_through_;
  }

  /// Throws BackendError if there is not enough memory, also after the cached blocks were given back.
  void* allocate(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const std::size_t size = pass_through_ ? std::max<std::size_t>(bytes, 1) : block_size(bytes);
    void* block = pass_through_ ? nullptr : take_cached(size);
    if (!block) block = system_allocate(size);
    if (pass_through_) passed_through_.insert(block);
    statistics_.in_use += size;
    statistics_.peak_in_use = std::max(statistics_.peak_in_use, statistics_.in_use);
    return block;
  }

  void deallocate(void* block, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (passed_through_.erase(block) > 0) {
      statistics_.in_use -= std::max<std::size_t>(bytes, 1);
      static_cast<void>(
          cudaFree(block));  // an error of an earlier kernel is reported by the next call that can throw
      return;
    }
    const std::size_t size = block_size(bytes);
    free_[{stream(), size}].push_back(block);
    statistics_.in_use -= size;
    statistics_.cached += size;
  }

  /// Gives all cached blocks back to the driver, which waits for the device.
  void release_cached() {
    const std::lock_guard lock(mutex_);
    release_all();
  }

  Statistics statistics() const {
    const std::lock_guard lock(mutex_);
    return statistics_;
  }

 private:
  void* take_cached(std::size_t size) {
    const auto found = free_.find({stream(), size});
    if (found == free_.end() || found->second.empty()) return nullptr;
    void* block = found->second.back();
    found->second.pop_back();
    statistics_.cached -= size;
    return block;
  }

  void* system_allocate(std::size_t size) {
    device();
    void* block = nullptr;
    cudaError_t status = cudaMalloc(&block, size);
    if (status == cudaErrorMemoryAllocation && statistics_.cached > 0) {
      static_cast<void>(cudaGetLastError());
      release_all();
      status = cudaMalloc(&block, size);
    }
    if (status == cudaErrorMemoryAllocation) {
      static_cast<void>(cudaGetLastError());
      std::size_t free = 0, total = 0;
      check("cudaMemGetInfo", cudaMemGetInfo(&free, &total));
      throw BackendError(
          "cuda: out of memory: " + mebibytes(size) + " were asked for, " + mebibytes(statistics_.in_use) +
          " are in use by cria and " + mebibytes(free) + " of " + mebibytes(total) +
          " are free on the device; a smaller batch, shorter sequences or recomputation need less");
    }
    check("cudaMalloc", status);
    ++statistics_.system_allocations;
    return block;
  }

  void release_all() {
    for (auto& [key, blocks] : free_) {
      for (void* block : blocks) static_cast<void>(cudaFree(block));
    }
    free_.clear();
    statistics_.cached = 0;
  }

  /// Rounds up to one of eight steps between powers of two, so that similar sizes share blocks.
  static std::size_t block_size(std::size_t bytes) {
    const std::size_t step = std::max<std::size_t>(512, std::bit_floor(bytes | 1) / 8);
    return (std::max<std::size_t>(bytes, 1) + step - 1) / step * step;
  }

  static std::string mebibytes(std::size_t bytes) {
    return std::to_string((bytes + (std::size_t{1} << 20) - 1) >> 20) + " MiB";
  }

  mutable std::mutex mutex_;
  std::map<std::pair<cudaStream_t, std::size_t>, std::vector<void*>> free_;
  std::unordered_set<void*> passed_through_;
  bool pass_through_;
  Statistics statistics_;
};

/// The process's allocator. Never destroyed, since tensors may outlive any static object.
inline CachingAllocator& allocator() {
  static auto* instance = new CachingAllocator;
  return *instance;
}

/// `size` uninitialised elements of working memory for kernels.
template <class T>
class Scratch {
 public:
  explicit Scratch(std::int64_t size) : size_(size), data_(static_cast<T*>(allocator().allocate(bytes()))) {}
  ~Scratch() { allocator().deallocate(data_, bytes()); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  T* data() const { return data_; }
  Vec<T> vec() const { return {data_, size_}; }

 private:
  std::size_t bytes() const { return static_cast<std::size_t>(size_) * sizeof(T); }

  std::int64_t size_;
  T* data_;
};

}  // namespace cria::cuda
