#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace cria {

/// Learning rates by iteration: a linear warm-up from 0, then half a cosine down to `min_lr`.
/// Loshchilov & Hutter 2017, with the warm-up of Goyal et al. 2017.
struct WarmupCosine {
  double learning_rate = 5e-4;
  double min_lr = 0.0;
  std::int64_t warmup_iters = 1000;
  std::int64_t lr_decay_iters = 100000;

  /// learning_rate * it / warmup_iters in the warm-up, so 0 at iteration 0; min_lr after lr_decay_iters.
  double operator()(std::int64_t it) const {
    if (it < warmup_iters) return learning_rate * static_cast<double>(it) / static_cast<double>(warmup_iters);
    if (it > lr_decay_iters || lr_decay_iters == warmup_iters) return min_lr;
    const double progress =
        static_cast<double>(it - warmup_iters) / static_cast<double>(lr_decay_iters - warmup_iters);
    return min_lr + 0.5 * (1.0 + std::cos(std::numbers::pi * progress)) * (learning_rate - min_lr);
  }
};

}  // namespace cria
