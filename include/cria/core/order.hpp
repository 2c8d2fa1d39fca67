#pragma once

#include <cstdint>

#include "cria/core/config.hpp"
#include "cria/core/dtype.hpp"

namespace cria {

/// Whether element a, at place `at_a`, comes before element b: by size, NaN being the greatest, and equal
/// ones by their places.
template <class T>
CRIA_HOST_DEVICE bool comes_before(T a, std::int64_t at_a, T b, std::int64_t at_b, bool descending) {
  const auto x = static_cast<acc_t<T>>(a), y = static_cast<acc_t<T>>(b);
  const bool less = x < y || (y != y && x == x), greater = y < x || (x != x && y == y);
  if (less || greater) return descending ? greater : less;
  return at_a < at_b;
}

}  // namespace cria
