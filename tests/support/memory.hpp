#pragma once
/// How much tensor memory a piece of code holds at its peak.

#include <cstddef>

#include "cria/backend/cpu/cpu.hpp"

namespace cria::test {

/// Bytes of the CPU allocator in use now.
inline std::size_t bytes_in_use() {
  return cpu::allocator().statistics().in_use;
}

/// The most bytes that `f` needs at any moment beyond those in use before it. The allocator's own peak is of
/// the whole process, so it is first raised to a known height.
template <class F>
std::size_t peak_bytes(F f) {
  const auto before = cpu::allocator().statistics();
  // One block that lifts what is in use to the process's peak: what f adds then shows.
  const std::size_t lift = before.peak_in_use - before.in_use;
  void* block = cpu::allocator().allocate(lift);
  const std::size_t base = bytes_in_use();
  f();
  const std::size_t peak = cpu::allocator().statistics().peak_in_use;
  cpu::allocator().deallocate(block, lift);
  return peak - base;
}

}  // namespace cria::test
