#pragma once
/// The CPU backend: host memory from a caching allocator.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <string>

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "cria/core/caching_allocator.hpp"
#include "cria/core/config.hpp"
#include "cria/core/dtype.hpp"
#include "cria/core/error.hpp"
#include "cria/core/scratch_memory.hpp"

namespace cria {

namespace cpu {

/// Where the CPU's caching allocator gets its blocks from.
struct HostMemory {
  static constexpr std::size_t smallest_block = 64;
  static constexpr std::size_t huge_page = std::size_t{2} << 20;

  static void* allocate(std::size_t size) {
    void* block = ::operator new(size, alignment_of(size), std::nothrow);
#ifdef __linux__
    if (block && size >= huge_page)
      madvise(block, size, MADV_HUGEPAGE);  // where it is refused, pages are small
#endif
    return block;
  }
  static void deallocate(void* block, std::size_t size) {
    ::operator delete(block, alignment_of(size));
  }
  [[noreturn]] static void out_of_memory(std::size_t size, std::size_t in_use, std::size_t cached) {
    const std::string machine =
        physical_memory() > 0 ? " of the machine's " + mebibytes(physical_memory()) : "";
    throw BackendError("cpu: out of memory: " + mebibytes(size) + " were asked for, " + mebibytes(in_use) +
                       machine + " are in use by cria and " + mebibytes(cached) +
                       " are cached; smaller tensors, a smaller batch or recomputation need less");
  }
  /// Half of the machine's memory.
  static std::size_t cache_limit() {
    return physical_memory() > 0 ? physical_memory() / 2 : std::numeric_limits<std::size_t>::max();
  }
  static const void* queue() {
    return nullptr;
  }

 private:
  /// Bytes; 0 where the system does not tell.
  static std::size_t physical_memory() {
#ifdef __linux__
    return static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) *
           static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
#else
    return 0;
#endif
  }
  static std::string mebibytes(std::size_t bytes) {
    return std::to_string((bytes >> 20) + (bytes % (std::size_t{1} << 20) > 0 ? 1 : 0)) + " MiB";
  }
  /// A cache line, or for large blocks the page that the processor translates as one.
  static std::align_val_t alignment_of(std::size_t size) {
    return std::align_val_t{size >= huge_page ? huge_page : 64};
  }
};

/// The process's allocator. Never destroyed, since tensors may outlive any static object.
CRIA_SHARED inline CachingAllocator<HostMemory>& allocator() {
  static auto* instance = new CachingAllocator<HostMemory>;
  return *instance;
}

}  // namespace cpu

/// Host memory and kernels on the processor's cores.
struct Cpu {
  static constexpr const char* name = "cpu";

  static void* allocate(std::size_t bytes) { return cpu::allocator().allocate(bytes); }
  static void deallocate(void* block, std::size_t bytes) { cpu::allocator().deallocate(block, bytes); }
  static auto memory_statistics() { return cpu::allocator().statistics(); }
  static void set_cache_limit(std::size_t bytes) { cpu::allocator().set_cache_limit(bytes); }
  static void empty_cache() {
    cpu::allocator().release_cached();
#ifdef __GLIBC__
    malloc_trim(0);  // the C library keeps freed blocks as well
#endif
  }
  static void fill_zero(void* data, std::size_t bytes) {
    std::memset(data, 0, bytes);
  }
  template <class T>
  static void fill(T* data, std::int64_t size, T value) {
    std::fill_n(data, size, value);
  }
  template <class T, class S>
  static void fill_sequence(T* data, std::int64_t size, S start, S step) {
    for (std::int64_t i = 0; i < size; ++i) {
      data[i] = static_cast<T>(static_cast<acc_t<T>>(start + static_cast<S>(i) * step));
    }
  }
  static void copy(void* to, const void* from, std::size_t bytes) {
    if (bytes > 0) std::memcpy(to, from, bytes);  // empty ranges may have null pointers
  }
  static void copy_from_host(void* to, const void* from, std::size_t bytes) {
    copy(to, from, bytes);
  }
  static void copy_to_host(void* to, const void* from, std::size_t bytes) {
    copy(to, from, bytes);
  }
  /// Waits until all work handed to the backend is done; on the CPU it always is.
  static void synchronize() {}
};

namespace cpu {
/// Working memory for a kernel.
template <class T>
using Scratch = ScratchMemory<T, Cpu>;
}  // namespace cpu

}  // namespace cria
