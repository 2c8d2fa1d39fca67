#pragma once
/// Counter-based random numbers: the n-th number of a stream depends on the seed, the stream and n alone, so
/// that every backend and any number of threads draw the same ones.

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "cria/core/config.hpp"

namespace cria {

/// Philox4x32-10: four random words of a 128-bit counter under a 64-bit key.
/// Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
CRIA_HOST_DEVICE constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                                               std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t left = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t right = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {
        static_cast<std::uint32_t>(right >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(right),
        static_cast<std::uint32_t>(left >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(left)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

/// A stream of random numbers. `split(i)` gives independent child streams, so that a seed names a whole tree
/// of them (per iteration, per chunk, per layer) and nothing but the seed has to be saved.
class Rng {
 public:
  explicit CRIA_HOST_DEVICE constexpr Rng(std::uint64_t seed = 0) : key_(seed) {}

  /// The child stream `index`; does not depend on how much was drawn from this one.
  CRIA_HOST_DEVICE constexpr Rng split(std::uint64_t index) const {
    const auto words = philox({low(index), high(index), 0x73706C69, 0x74}, {low(key_), high(key_)});
    return Rng(words[0] | std::uint64_t{words[1]} << 32);
  }

  /// Next 64 random bits.
  constexpr std::uint64_t next() {
    const auto words = block(position_ / 2);
    const std::size_t half = position_++ % 2 * 2;
    return words[half] | std::uint64_t{words[half + 1]} << 32;
  }

  /// Next number in [0, 1), with 53 random bits.
  constexpr double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

  /// Next number in [0, bound), without bias. bound > 0.
  constexpr std::uint64_t below(std::uint64_t bound) {
    const std::uint64_t rejected = (0 - bound) % bound;
    for (;;) {
      if (const std::uint64_t x = next(); x >= rejected) return x % bound;
    }
  }

  /// Next number of the standard normal distribution (Box and Muller 1958).
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }

  /// The four words at `index`, without moving the stream: for kernels that draw by element.
  CRIA_HOST_DEVICE constexpr std::array<std::uint32_t, 4> block(std::uint64_t index) const {
    return philox({low(index), high(index), 0, 0}, {low(key_), high(key_)});
  }

 private:
  static CRIA_HOST_DEVICE constexpr std::uint32_t low(std::uint64_t x) {
    return static_cast<std::uint32_t>(x);
  }
  static CRIA_HOST_DEVICE constexpr std::uint32_t high(std::uint64_t x) {
    return static_cast<std::uint32_t>(x >> 32);
  }

  std::uint64_t key_;
  std::uint64_t position_ = 0;
};

}  // namespace cria
