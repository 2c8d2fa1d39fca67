#pragma once
/// Loops over the processor's cores, on the threads of core/threads.hpp.

#include <algorithm>
#include <cstdint>

#include "cria/core/threads.hpp"

namespace cria::cpu {

/// The body of a loop, called for [begin, end).
using RangeBody = FunctionReference<std::int64_t, std::int64_t>;

/// Calls body(begin, end) on ranges that cover [0, size), each at least `grain` long, in parallel where that
/// pays. Ranges must not depend on each other.
inline void parallel_for(std::int64_t size, std::int64_t grain, RangeBody body) {
  const auto threads = static_cast<int>(
      std::clamp<std::int64_t>(size / std::max<std::int64_t>(grain, 1), 1, available_threads()));
  if (threads == 1) {
    if (size > 0) body(0, size);
    return;
  }
  run_on_threads(threads, [&](int thread) { body(size * thread / threads, size * (thread + 1) / threads); });
}

/// The same over single elements, in ranges that begin at multiples of 64. What fills no register at the end
/// of a range is computed by other code, which may round differently: so it is the same few elements whatever
/// the number of threads.
inline void parallel_for_elements(std::int64_t size, std::int64_t grain, RangeBody body) {
  constexpr std::int64_t unit = 64;
  parallel_for((size + unit - 1) / unit, grain / unit,
               [&](std::int64_t begin, std::int64_t end) { body(unit * begin, std::min(unit * end, size)); });
}

}  // namespace cria::cpu
