#pragma once
/// The memory of every backend: a caching allocator, because the system's allocation takes long.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <unordered_set>
#include <utility>
#include <vector>

namespace cria {

/// Keeps freed blocks for the next request of the same size, so that a training step in its steady state asks
/// the system for nothing. Thread-safe. Memory says where blocks come from:
///   allocate(size)           null if there is not so much
///   deallocate(block, size)  must not throw
///   out_of_memory(size, in_use, cached)  throws
///   queue()                  where the calling thread's work waits, or null: a block is only handed to work
///                            of the queue that freed it, which ends what used the block before
///   smallest_block           bytes
///   cache_limit()            bytes that are kept for later unless set_cache_limit says another number
template <class Memory>
class CachingAllocator {
 public:
  struct Statistics {
    std::size_t in_use = 0;              // bytes handed out
    std::size_t peak_in_use = 0;         // the most of them at any moment
    std::size_t cached = 0;              // bytes kept for later
    std::size_t system_allocations = 0;  // requests that reached the system
  };

  /// While this is on, every request goes to the system with exactly its size, so that tools see what is used
  /// too late or too far.
  void set_pass_through(bool on) {
    const std::lock_guard lock(mutex_);
    pass_through_ = on;
  }
  bool pass_through() const {
    const std::lock_guard lock(mutex_);
    return pass_through_;
  }

  /// Throws what Memory::out_of_memory does if there is not enough, also after the cached blocks were given
  /// back.
  void* allocate(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const std::size_t size = pass_through_ ? exact_size(bytes) : block_size(bytes);
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
      statistics_.in_use -= exact_size(bytes);
      Memory::deallocate(block, exact_size(bytes));
      return;
    }
    const std::size_t size = block_size(bytes);
    free_[{Memory::queue(), size}].push_back(block);
    statistics_.in_use -= size;
    statistics_.cached += size;
    if (statistics_.cached > cache_limit_) release_all();
  }

  /// Gives all cached blocks back to the system, but those of kept queues.
  void release_cached() {
    const std::lock_guard lock(mutex_);
    release_all();
  }

  /// From now on at most `bytes` are kept for later: where a freed block would make them more, all cached
  /// blocks go back to the system, but those of kept queues.
  void set_cache_limit(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    cache_limit_ = bytes;
    if (statistics_.cached > cache_limit_) release_all();
  }

  /// From now on the blocks that work of `queue` freed are for that queue alone, whatever runs short: the
  /// work will be repeated with the same blocks.
  void keep(const void* queue) {
    const std::lock_guard lock(mutex_);
    kept_.insert(queue);
  }

  Statistics statistics() const {
    const std::lock_guard lock(mutex_);
    return statistics_;
  }

 private:
  void* take_cached(std::size_t size) {
    const auto found = free_.find({Memory::queue(), size});
    if (found == free_.end() || found->second.empty()) return nullptr;
    void* block = found->second.back();
    found->second.pop_back();
    statistics_.cached -= size;
    return block;
  }

  void* system_allocate(std::size_t size) {
    void* block = Memory::allocate(size);
    if (!block && statistics_.cached > 0) {
      release_all();
      block = Memory::allocate(size);
    }
    if (!block) Memory::out_of_memory(size, statistics_.in_use, statistics_.cached);
    ++statistics_.system_allocations;
    return block;
  }

  void release_all() {
    std::erase_if(free_, [&](auto& entry) {
      const auto& [queue, size] = entry.first;
      if (kept_.contains(queue)) return false;
      for (void* block : entry.second) Memory::deallocate(block, size);
      statistics_.cached -= size * entry.second.size();
      return true;
    });
  }

  static std::size_t exact_size(std::size_t bytes) { return std::max<std::size_t>(bytes, 1); }

  /// Rounds up to one of eight steps between powers of two, so that similar sizes share blocks.
  static std::size_t block_size(std::size_t bytes) {
    const std::size_t step = std::max<std::size_t>(Memory::smallest_block, std::bit_floor(bytes | 1) / 8);
    return (exact_size(bytes) + step - 1) / step * step;
  }

  mutable std::mutex mutex_;
  std::map<std::pair<const void*, std::size_t>, std::vector<void*>> free_;
  std::unordered_set<const void*> kept_;
  std::unordered_set<void*> passed_through_;
  bool pass_through_ = false;
  std::size_t cache_limit_ = Memory::cache_limit();
  Statistics statistics_;
};

}  // namespace cria
