#pragma once
/// The CPU backend: host memory from a caching allocator.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "cria/core/config.hpp"

namespace cria {

namespace cpu {

/// Keeps freed blocks for the next request of the same size, so that a training step in its steady state asks
/// the system for nothing. Thread-safe.
class CachingAllocator {
 public:
  struct Statistics {
    std::size_t in_use = 0;              // bytes handed out
    std::size_t peak_in_use = 0;         // the most of them at any moment
    std::size_t cached = 0;              // bytes kept for later
    std::size_t system_allocations = 0;  // requests that reached the system
  };

  void* allocate(std::size_t bytes) {
    const std::size_t size = block_size(bytes);
    const std::lock_guard lock(mutex_);
    statistics_.in_use += size;
    statistics_.peak_in_use = std::max(statistics_.peak_in_use, statistics_.in_use);
    if (auto& free = free_[size]; !free.empty()) {
      void* block = free.back();
      free.pop_back();
      statistics_.cached -= size;
      return block;
    }
    ++statistics_.system_allocations;
    return system_allocate(size);
  }

  void deallocate(void* block, std::size_t bytes) {
    const std::size_t size = block_size(bytes);
    const std::lock_guard lock(mutex_);
    free_[size].push_back(block);
    statistics_.in_use -= size;
    statistics_.cached += size;
  }

  /// Gives all cached blocks back to the system.
  void release_cached() {
    const std::lock_guard lock(mutex_);
    for (auto& [size, blocks] : free_) {
      for (void* block : blocks) ::operator delete(block, alignment_of(size));
    }
    free_.clear();
    statistics_.cached = 0;
  }

  Statistics statistics() const {
    const std::lock_guard lock(mutex_);
    return statistics_;
  }

 private:
  static constexpr std::size_t huge_page = std::size_t{2} << 20;

  /// A cache line, or for large blocks the page that the processor translates as one.
  static std::align_val_t alignment_of(std::size_t size) {
    return std::align_val_t{size >= huge_page ? huge_page : 64};
  }

  static void* system_allocate(std::size_t size) {
    void* block = ::operator new(size, alignment_of(size));
#ifdef __linux__
    if (size >= huge_page) madvise(block, size, MADV_HUGEPAGE);  // where it is refused, pages are small
#endif
    return block;
  }

  /// Rounds up to one of eight steps between powers of two, so that similar sizes share blocks.
  static std::size_t block_size(std::size_t bytes) {
    const std::size_t step = std::max<std::size_t>(64, std::bit_floor(bytes | 1) / 8);
    return (std::max<std::size_t>(bytes, 1) + step - 1) / step * step;
  }

  mutable std::mutex mutex_;
  std::unordered_map<std::size_t, std::vector<void*>> free_;
  Statistics statistics_;
};

/// The process's allocator. Never destroyed, since tensors may outlive any static object.
inline CachingAllocator& allocator() {
  static auto* instance = new CachingAllocator;
  return *instance;
}

/// `size` uninitialised elements of working memory for a kernel.
template <class T>
class Scratch {
 public:
  explicit Scratch(std::int64_t size)
      : bytes_(static_cast<std::size_t>(size) * sizeof(T)),
        data_(static_cast<T*>(allocator().allocate(bytes_))) {}
  ~Scratch() { allocator().deallocate(data_, bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  T* data() const { return data_; }
  T& operator[](std::int64_t i) const { return data_[i]; }

 private:
  std::size_t bytes_;
  T* data_;
};

}  // namespace cpu

/// Host memory and kernels on the processor's cores.
struct Cpu {
  static constexpr const char* name = "cpu";

  static void* allocate(std::size_t bytes) { return cpu::allocator().allocate(bytes); }
  static void deallocate(void* block, std::size_t bytes) { cpu::allocator().deallocate(block, bytes); }
  static void fill_zero(void* data, std::size_t bytes) { std::memset(data, 0, bytes); }
  static void copy(void* to, const void* from, std::size_t bytes) {
    if (bytes > 0) std::memcpy(to, from, bytes);  // empty ranges may have null pointers
  }
  static void copy_from_host(void* to, const void* from, std::size_t bytes) { copy(to, from, bytes); }
  static void copy_to_host(void* to, const void* from, std::size_t bytes) { copy(to, from, bytes); }
  /// Waits until all work handed to the backend is done; on the CPU it always is.
  static void synchronize() {}
};

}  // namespace cria
