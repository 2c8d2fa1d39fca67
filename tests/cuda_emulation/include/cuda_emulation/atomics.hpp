#pragma once
/// Atomic operations on device and shared memory. They are atomic between threads of the host too, and the
/// checker sees them as atomic.

#include <bit>
#include <cstdint>
#include <type_traits>

namespace cuda_emulation {

template <class T>
concept AtomicInteger =
    std::is_same_v<T, int> || std::is_same_v<T, unsigned int> || std::is_same_v<T, unsigned long long>;
template <class T>
concept AtomicNumber = AtomicInteger<T> || std::is_same_v<T, float> || std::is_same_v<T, double>;

/// Replaces *address by update(*address); returns what was there.
template <class T, class Update>
T atomic_update(T* address, Update update) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  auto* bits = reinterpret_cast<Bits*>(address);
  Bits before = __atomic_load_n(bits, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(bits, &before, std::bit_cast<Bits>(update(std::bit_cast<T>(before))),
                                      false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return std::bit_cast<T>(before);
}

}  // namespace cuda_emulation

// The type comes from the pointer alone, as with CUDA's overloads.
template <cuda_emulation::AtomicNumber T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  return cuda_emulation::atomic_update(address, [=](T old) { return static_cast<T>(old + value); });
}
template <cuda_emulation::AtomicInteger T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  return cuda_emulation::atomic_update(address, [=](T old) { return old < value ? value : old; });
}
template <cuda_emulation::AtomicInteger T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  return cuda_emulation::atomic_update(address, [=](T old) { return value < old ? value : old; });
}
template <cuda_emulation::AtomicInteger T>
T atomicOr(T* address, std::type_identity_t<T> value) {
  return cuda_emulation::atomic_update(address, [=](T old) { return old | value; });
}
template <cuda_emulation::AtomicInteger T>
T atomicAnd(T* address, std::type_identity_t<T> value) {
  return cuda_emulation::atomic_update(address, [=](T old) { return old & value; });
}
template <class T>
requires(cuda_emulation::AtomicInteger<T> || std::is_same_v<T, float>) T
    atomicExch(T* address, std::type_identity_t<T> value) {
  return cuda_emulation::atomic_update(address, [=](T) { return value; });
}
template <cuda_emulation::AtomicInteger T>
T atomicCAS(T* address, std::type_identity_t<T> compare, std::type_identity_t<T> value) {
  return cuda_emulation::atomic_update(address, [=](T old) { return old == compare ? value : old; });
}
/// Counts 0, 1, ..., last, 0, ...
inline unsigned int atomicInc(unsigned int* address, unsigned int last) {
  return cuda_emulation::atomic_update(address,
                                       [=](unsigned int old) { return old >= last ? 0u : old + 1u; });
}
