#pragma once

#include "cria/core/check.hpp"
#include "cria/core/kernel.hpp"
#include "cria/core/random.hpp"
#include "cria/core/tensor.hpp"

namespace cria {

namespace ops {
/// kernel: forward(x, probability, rng, y); backward(dy, probability, rng, dx). Element i is dropped or kept
/// by word i % 4 of rng.block(i / 4), so that the mask is drawn again instead of stored.
struct Dropout;
}  // namespace ops

/// Each element becomes 0 with `probability`, else x / (1 - probability); which ones, the stream `rng`
/// decides. Throws ConfigError unless 0 <= probability < 1. Srivastava et al. 2014.
template <FloatingPoint T, class B>
Tensor<T, B> dropout(const Tensor<T, B>& x, float probability, const Rng& rng) {
  using K = kernel_for<ops::Dropout, B>;
  if (!(probability >= 0.0f && probability < 1.0f)) {
    throw ConfigError("dropout: the probability is " + std::to_string(probability) +
                      "; it must be in [0, 1)");
  }
  if (probability == 0.0f) return x;
  auto y = Tensor<T, B>::empty(x.shape());
  K::forward(x.vec(), probability, rng, y.vec());
  return record("dropout", y, inputs(x), [probability, rng, x = x.without_values()](const Tensor<T, B>& dy) {
    K::backward(dy.vec(), probability, rng, x.grad_vec());
  });
}

}  // namespace cria

#include "cria/backend/cpu/dropout.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/dropout.cuh"
#endif
