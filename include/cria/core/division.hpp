#pragma once
/// Division of indices.

#include <cstdint>

#include "cria/core/config.hpp"

namespace cria {

/// n / divisor and n % divisor of numbers that are not negative.
struct Divided {
  std::int64_t quotient, rest;
};

/// Most indices have 32 bits, which a GPU divides several times as fast as 64.
CRIA_HOST_DEVICE CRIA_INLINE Divided divided(std::int64_t n, std::int64_t divisor) {
  if (((n | divisor) >> 32) != 0) return {n / divisor, n % divisor};
  const auto small = static_cast<std::uint32_t>(n), by = static_cast<std::uint32_t>(divisor);
  const std::uint32_t quotient = small / by;
  return {quotient, small - quotient * by};
}

}  // namespace cria
