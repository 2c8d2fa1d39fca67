#pragma once

#include <functional>
#include <string_view>

#include "cria/optim/optimizer.hpp"

namespace cria {

struct AdamWOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;
  /// What the weight decay of a parameter is multiplied by: 0 leaves it out.
  std::function<double(std::string_view, const Shape&)> weight_decay_factor = decay_matrices;
  MissingGradient missing_gradient = MissingGradient::error;
  /// What the learning rate of a parameter is multiplied by.
  std::function<double(std::string_view, const Shape&)> learning_rate_factor = full_rate;
};

/// AdamW: Adam with decoupled weight decay. Loshchilov & Hutter 2019.
///   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
///   x = x - lr decay x - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
template <class B = DefaultBackend>
struct AdamW : RuleOptimizer<ops::AdamW, B> {
  /// Throws what Optimizer does, and ConfigError unless beta1 and beta2 are in [0, 1) and epsilon 0 or more.
  template <class M>
  explicit AdamW(M& model, const AdamWOptions& options = {})
      : RuleOptimizer<ops::AdamW, B>("AdamW", model, {options.beta1, options.beta2, options.epsilon},
                                     options) {
    check::below_one("AdamW", "beta1", options.beta1);
    check::below_one("AdamW", "beta2", options.beta2);
    check::not_negative("AdamW", "epsilon", options.epsilon);
  }
};

}  // namespace cria
