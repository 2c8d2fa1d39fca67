#pragma once

#include <functional>
#include <string_view>

#include "cria/optim/optimizer.hpp"

namespace cria {

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
  /// What the weight decay of a parameter is multiplied by: 0 leaves it out.
  std::function<double(std::string_view, const Shape&)> weight_decay_factor = decay_matrices;
  MissingGradient missing_gradient = MissingGradient::error;
  /// What the learning rate of a parameter is multiplied by.
  std::function<double(std::string_view, const Shape&)> learning_rate_factor = full_rate;
};

/// Adam, whose weight decay is part of the gradient; AdamW decays as much whatever the gradient's size is.
/// Kingma & Ba 2015.
///   g = g + decay x;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
///   x = x - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
template <class B = DefaultBackend>
struct Adam : RuleOptimizer<ops::Adam, B> {
  /// Throws what Optimizer does, and ConfigError unless beta1 and beta2 are in [0, 1) and epsilon 0 or more.
  template <class M>
  explicit Adam(M& model, const AdamOptions& options = {})
      : RuleOptimizer<ops::Adam, B>("Adam", model, {{options.beta1, options.beta2, options.epsilon}},
                                    options) {
    check::below_one("Adam", "beta1", options.beta1);
    check::below_one("Adam", "beta2", options.beta2);
    check::not_negative("Adam", "epsilon", options.epsilon);
  }
};

}  // namespace cria
