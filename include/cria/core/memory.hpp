#pragma once
/// What a program may do about the memory of a backend. Memory of tensors that are gone is kept for later
/// ones, since the system's allocation takes long.

#include <cstddef>

#include "cria/core/config.hpp"

namespace cria {

/// Gives the memory that is kept for later tensors back to the system. What is in use stays; what a captured
/// CUDA graph works in does, too.
template <class B = DefaultBackend>
void empty_cache() {
  B::empty_cache();
}

/// From now on at most `bytes` are kept for later tensors; more than that go back to the system as tensors
/// are dropped. Without this call it is half of the machine's memory on the CPU, and no limit on a GPU.
template <class B = DefaultBackend>
void set_cache_limit(std::size_t bytes) {
  B::set_cache_limit(bytes);
}

/// Bytes in use by tensors and kernels, the most there were at a time, and those kept for later tensors:
/// members in_use, peak_in_use and cached.
template <class B = DefaultBackend>
auto memory_statistics() {
  return B::memory_statistics();
}

}  // namespace cria
