#pragma once

#include "cria/core/check.hpp"
#include "cria/core/kernel.hpp"
#include "cria/core/random.hpp"
#include "cria/core/tensor.hpp"

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

namespace ops {
/// kernel: forward(x, probability, noise, y); backward(dy, probability, noise, dx). Element i is dropped or
/// kept by word i % 4 of noise.rng().block(i / 4), so that the mask is drawn again instead of stored.
struct Dropout;
}  // namespace ops

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
  return record("dropout", y, inputs(unread(x)),
                [probability, noise, x = x.without_values()](const Tensor<T, B>& dy) {
                  K::backward(dy.vec(), probability, noise, detail::grad_vec(x));
                });
}

}  // namespace cria

#include "cria/backend/cpu/dropout.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/dropout.cuh"
#endif
