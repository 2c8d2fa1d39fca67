#pragma once

#include <functional>
#include <string_view>

#include "cria/optim/optimizer.hpp"

namespace cria {

struct SGDOptions {
  double learning_rate = 1e-2;
  double momentum = 0.0;
  bool nesterov = false;
  double weight_decay = 0.0;
  /// What the weight decay of a parameter is multiplied by: 0 leaves it out.
  std::function<double(std::string_view, const Shape&)> weight_decay_factor = decay_matrices;
  MissingGradient missing_gradient = MissingGradient::error;
  /// What the learning rate of a parameter is multiplied by.
  std::function<double(std::string_view, const Shape&)> learning_rate_factor = full_rate;
};

/// Stochastic gradient descent with momentum, which starts as zero; PyTorch's formula. Polyak 1964, and with
/// `nesterov` Sutskever et al. 2013.
///   g = g + decay x;  m = momentum m + g
///   x = x - lr m, or with nesterov x - lr (g + momentum m)
template <class B = DefaultBackend>
struct SGD : RuleOptimizer<ops::SGD, B> {
  /// Throws what Optimizer does, and ConfigError unless the momentum is in [0, 1), with `nesterov` in (0, 1).
  template <class M>
  explicit SGD(M& model, const SGDOptions& options = {})
      : RuleOptimizer<ops::SGD, B>("SGD", model, {options.momentum, options.nesterov}, options) {
    check::below_one("SGD", "momentum", options.momentum);
    check::option(!options.nesterov || options.momentum > 0, "SGD", "momentum", options.momentum,
                  "with nesterov it must be positive");
  }
};

}  // namespace cria
