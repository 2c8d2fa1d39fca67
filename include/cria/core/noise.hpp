#pragma once

#include <cstdint>

#include "cria/core/config.hpp"
#include "cria/core/random.hpp"

namespace cria {

/// A stream of random numbers that kernels draw from. It may be a child of one that is in the backend's
/// memory and is read there by each kernel when it runs: then every replay of a CUDA graph draws from another
/// one.
class Noise {
 public:
  Noise(const Rng& rng) : rng_(rng) {}
  /// parent->split(child). `parent` is in the backend's memory, and has the same value in forward and
  /// backward.
  Noise(const Rng* parent, std::uint64_t child) : parent_(parent), child_(child) {}

  /// For kernels.
  CRIA_HOST_DEVICE Rng rng() const { return parent_ ? parent_->split(child_) : rng_; }

 private:
  Rng rng_;
  const Rng* parent_ = nullptr;
  std::uint64_t child_ = 0;
};

}  // namespace cria
