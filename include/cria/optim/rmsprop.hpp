#pragma once

#include <functional>
#include <string_view>

#include "cria/optim/optimizer.hpp"

namespace cria {

struct RMSpropOptions {
  double learning_rate = 1e-2;
  double alpha = 0.99;
  double epsilon = 1e-8;
  double momentum = 0.0;
  double weight_decay = 0.0;
  /// What the weight decay of a parameter is multiplied by: 0 leaves it out.
  std::function<double(std::string_view, const Shape&)> weight_decay_factor = decay_matrices;
  MissingGradient missing_gradient = MissingGradient::error;
  /// What the learning rate of a parameter is multiplied by.
  std::function<double(std::string_view, const Shape&)> learning_rate_factor = full_rate;
};

/// RMSprop: steps divided by the root of a running mean of squared gradients, with momentum. Hinton 2012;
/// PyTorch's formula.
///   g = g + decay x;  v = alpha v + (1 - alpha) g^2
///   m = momentum m + g / (sqrt(v) + epsilon);  x = x - lr m
template <class B = DefaultBackend>
struct RMSprop : RuleOptimizer<ops::RMSprop, B> {
  /// Throws what Optimizer does, and ConfigError unless alpha and momentum are in [0, 1) and epsilon 0 or
  /// more.
  template <class M>
  explicit RMSprop(M& model, const RMSpropOptions& options = {})
      : RuleOptimizer<ops::RMSprop, B>("RMSprop", model, {options.alpha, options.epsilon, options.momentum},
                                       options) {
    check::below_one("RMSprop", "alpha", options.alpha);
    check::below_one("RMSprop", "momentum", options.momentum);
    check::not_negative("RMSprop", "epsilon", options.epsilon);
  }
};

}  // namespace cria
