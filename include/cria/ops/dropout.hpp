#pragma once

#include "cria/backend/cpu/dropout.hpp"
#include "cria/core/check.hpp"
#include "cria/core/noise.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/dropout.cuh"
#endif

namespace cria {

/// Each element becomes 0 with `probability`, else x / (1 - probability); which ones, `noise` decides, for
/// example Rng(5). Throws ConfigError unless 0 <= probability < 1. Srivastava et al. 2014.
template <FloatingPoint T, class B>
Tensor<T, B> dropout(const Tensor<T, B>& x, float probability, const Noise& noise) {
  using K = kernel_for<ops::Dropout, B>;
  if (!(probability >= 0.0f && probability < 1.0f)) {
    throw ConfigError("dropout: the probability is " + std::to_string(probability) +
                      "; it must be in [0, 1)");
  }
  if (probability == 0.0f) return x;
  auto y = Tensor<T, B>::empty(x.shape());
  K::forward(x.vec(), probability, noise, y.mutable_vec());
  return record("dropout", y, inputs(unread(x)), [probability, noise, dx = sink(x)](const Tensor<T, B>& dy) {
    K::backward(dy.vec(), probability, noise, dx.vec());
  });
}

}  // namespace cria
