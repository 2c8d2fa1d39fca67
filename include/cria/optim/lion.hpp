#pragma once

#include <functional>
#include <string_view>

#include "cria/optim/optimizer.hpp"

namespace cria {

struct LionOptions {
  double learning_rate = 1e-4;
  double beta1 = 0.9;
  double beta2 = 0.99;
  double weight_decay = 1.0;
  /// What the weight decay of a parameter is multiplied by: 0 leaves it out.
  std::function<double(std::string_view, const Shape&)> weight_decay_factor = decay_matrices;
  MissingGradient missing_gradient = MissingGradient::error;
  /// What the learning rate of a parameter is multiplied by.
  std::function<double(std::string_view, const Shape&)> learning_rate_factor = full_rate;
};

/// Lion: every element moves by the learning rate, in the direction of a momentum. Chen et al. 2023, who
/// train with a third to a tenth of AdamW's learning rate and as many times its weight decay.
///   x = x - lr decay x - lr sign(beta1 m + (1 - beta1) g);  m = beta2 m + (1 - beta2) g
template <class B = DefaultBackend>
struct Lion : RuleOptimizer<ops::Lion, B> {
  /// Throws what Optimizer does, and ConfigError unless beta1 and beta2 are in [0, 1).
  template <class M>
  explicit Lion(M& model, const LionOptions& options = {})
      : RuleOptimizer<ops::Lion, B>("Lion", model, {options.beta1, options.beta2}, options) {
    check::below_one("Lion", "beta1", options.beta1);
    check::below_one("Lion", "beta2", options.beta2);
  }
};

}  // namespace cria
