// The functions that code compiled by g++ -fsanitize=thread calls for its accesses, in place of
// ThreadSanitizer's own, which take all fibers of a thread for one and so find nothing. Programs are linked
// without -fsanitize=thread.

#include "checker.hpp"

using namespace cuda_emulation;

namespace {

[[gnu::always_inline]] inline void touch(const volatile void* address, unsigned size, bool write,
                                         bool atomic) {
  check_access(address, size, write, atomic, __builtin_return_address(0));
}

// g++ calls the functions without `unaligned` for types that begin at multiples of 8 or of their size.
[[gnu::always_inline]] inline void touch_aligned(const volatile void* address, unsigned size, bool write) {
  const bool is_aligned = reinterpret_cast<std::uintptr_t>(address) % (size < 8 ? size : 8) == 0;
  check_access(address, size, write, false, __builtin_return_address(0), !is_aligned);
}

}  // namespace

#define ACCESS(size) \
  void __tsan_read##size(void* address) { \
    touch_aligned(address, size, false); \
  } \
  void __tsan_write##size(void* address) { \
    touch_aligned(address, size, true); \
  } \
  void __tsan_unaligned_read##size(void* address) { \
    touch(address, size, false, false); \
  } \
  void __tsan_unaligned_write##size(void* address) { \
    touch(address, size, true, false); \
  } \
  void __tsan_volatile_read##size(void* address) { \
    touch(address, size, false, false); \
  } \
  void __tsan_volatile_write##size(void* address) { \
    touch(address, size, true, false); \
  }

#define ATOMIC(bits, T) \
  T __tsan_atomic##bits##_load(const volatile T* address, int) { \
    touch(address, sizeof(T), false, true); \
    return __atomic_load_n(address, __ATOMIC_SEQ_CST); \
  } \
  void __tsan_atomic##bits##_store(volatile T* address, T value, int) { \
    touch(address, sizeof(T), true, true); \
    __atomic_store_n(address, value, __ATOMIC_SEQ_CST); \
  } \
  bool __tsan_atomic##bits##_compare_exchange_strong(volatile T* address, T* expected, T value, int, int) { \
    touch(address, sizeof(T), true, true); \
    return __atomic_compare_exchange_n(address, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
  } \
  bool __tsan_atomic##bits##_compare_exchange_weak(volatile T* address, T* expected, T value, int, int) { \
    touch(address, sizeof(T), true, true); \
    return __atomic_compare_exchange_n(address, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
  } \
  T __tsan_atomic##bits##_compare_exchange_val(volatile T* address, T expected, T value, int, int) { \
    touch(address, sizeof(T), true, true); \
    __atomic_compare_exchange_n(address, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
    return expected; \
  }

#define ATOMIC_UPDATE(bits, T, name) \
  T __tsan_atomic##bits##_##name(volatile T* address, T value, int) { \
    touch(address, sizeof(T), true, true); \
    return __atomic_##name(address, value, __ATOMIC_SEQ_CST); \
  }

#define ATOMIC_UPDATES(bits, T) \
  ATOMIC(bits, T) \
  ATOMIC_UPDATE(bits, T, fetch_add) \
  ATOMIC_UPDATE(bits, T, fetch_sub) \
  ATOMIC_UPDATE(bits, T, fetch_or) \
  ATOMIC_UPDATE(bits, T, fetch_and) \
  ATOMIC_UPDATE(bits, T, fetch_xor) \
  T __tsan_atomic##bits##_exchange(volatile T* address, T value, int) { \
    touch(address, sizeof(T), true, true); \
    return __atomic_exchange_n(address, value, __ATOMIC_SEQ_CST); \
  }

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_atomic_thread_fence(int) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
void __tsan_atomic_signal_fence(int) {}
void __tsan_read_range(void* address, unsigned long size) {
  touch(address, static_cast<unsigned>(size), false, false);
}
void __tsan_write_range(void* address, unsigned long size) {
  touch(address, static_cast<unsigned>(size), true, false);
}
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)
ATOMIC_UPDATES(8, unsigned char)
ATOMIC_UPDATES(16, unsigned short)
ATOMIC_UPDATES(32, unsigned int)
ATOMIC_UPDATES(64, unsigned long)
}
