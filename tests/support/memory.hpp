#pragma once
/// How much tensor memory a piece of code holds at its peak, and tensors written by the host.

#include <cstddef>
#include <type_traits>
#include <vector>

#include "cria/backend/cpu/cpu.hpp"
#include "cria/core/parameter.hpp"
#ifdef CRIA_DEFAULT_BACKEND_CUDA
#include "cria/backend/cuda/cuda.hpp"
#endif

namespace cria::test {

/// The allocator of the default backend.
inline auto& allocator() {
#ifdef CRIA_DEFAULT_BACKEND_CUDA
  return cuda::allocator();
#else
  return cpu::allocator();
#endif
}

/// Bytes of the allocator in use now.
inline std::size_t bytes_in_use() {
  return allocator().statistics().in_use;
}

/// The most bytes that `f` needs at any moment beyond those in use before it. The allocator's own peak is of
/// the whole process, so it is first raised to a known height.
template <class F>
std::size_t peak_bytes(F f) {
  const auto before = allocator().statistics();
  // One block that lifts what is in use to the process's peak: what f adds then shows.
  const std::size_t lift = before.peak_in_use - before.in_use;
  void* block = allocator().allocate(lift);
  const std::size_t base = bytes_in_use();
  f();
  const std::size_t peak = allocator().statistics().peak_in_use;
  allocator().deallocate(block, lift);
  return peak - base;
}

/// Overwrites the elements of a view that lies in the default backend's memory.
template <class T>
void write(Vec<T> to, const std::type_identity_t<std::vector<T>>& values) {
  DefaultBackend::copy_from_host(to.data, values.data(), values.size() * sizeof(T));
}

/// A parameter of zeros.
inline Parameter<float> zeros(const Shape& shape) {
  return Parameter<float>(shape);
}

}  // namespace cria::test
