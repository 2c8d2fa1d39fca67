#pragma once

#include <utility>

#include "cria/nn/rms_norm.hpp"
#include "cria/ops/elementwise.hpp"

namespace cria::nn {

/// The path along which a transformer's layers add to x [..., n]:
///
///   x.add(attention(x.norm(input_layernorm)));  // x = x + attention(norm(x))
///
/// A branch is not added at once but by the norm that comes next, in the same pass over memory.
template <FloatingPoint T, class B = DefaultBackend>
class Residual {
 public:
  explicit Residual(Tensor<T, B> x) : x_(std::move(x)) {}

  /// norm(x) -> [..., n]. Throws ShapeError if the norm is not of n elements.
  Tensor<T, B> norm(const RmsNorm<T, B>& norm) {
    if (!branch_.defined()) return norm(x_);
    auto [sum, normed] = add_rms_norm(x_, std::exchange(branch_, {}), norm.weight, norm.eps);
    x_ = std::move(sum);
    return normed;
  }

  /// x = x + branch. Whoever asks for x next throws ShapeError if the shapes differ.
  void add(Tensor<T, B> branch) {
    x_ = value();
    branch_ = std::move(branch);
  }

  /// x.
  Tensor<T, B> value() const { return branch_.defined() ? x_ + branch_ : x_; }

 private:
  Tensor<T, B> x_, branch_;  // branch_ is still to be added to x_; undefined: none
};

}  // namespace cria::nn
