#pragma once
/// The formulas by which optimisers update an element, and what every backend's step shares around them.
///
/// A rule is a struct that is copied to a device. It has
///
///   static constexpr name                 what the profile calls an update
///   static constexpr std::array state     the names of what it keeps for each element
///   its constants; `begin(t)` derives those that depend on the number t of the step, once and in double
///   Factors<A>(rule, learning_rate, weight_decay)   what is the same for all elements of a parameter,
///                                                   whose weight_decay is 0 if it does not decay
///   operator()(g, x, state...) of Factors           updates the value x, whose gradient is g, and its state

#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "cria/core/config.hpp"
#include "cria/core/dtype.hpp"
#include "cria/core/view.hpp"

namespace cria {

/// What a step does to the gradients before it uses them: they are divided by `loss_scale`, then multiplied
/// by clip_factor(norm, max_norm), norm being the L2 norm of all of them; max_norm = 0 clips nothing.
struct GradientScaling {
  double loss_scale = 1.0;
  double max_norm = 0.0;
};

/// min(1, max_norm / (norm + 1e-6)), or 1 if max_norm is 0. Pascanu et al. 2013; PyTorch's formula.
CRIA_HOST_DEVICE inline double clip_factor(double norm, double max_norm) {
  const double factor = max_norm / (norm + 1e-6);
  return max_norm > 0 && factor < 1 ? factor : 1.0;
}

namespace ops {

/// Adam with decoupled weight decay. Loshchilov & Hutter 2019.
///   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
///   x = x - lr decay x - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
struct AdamW {
  static constexpr std::string_view name = "adamw";
  static constexpr std::array<std::string_view, 2> state{"first_moment", "second_moment"};

  double beta1 = 0, beta2 = 0, epsilon = 0;
  double correction1 = 1, correction2 = 1;

  CRIA_HOST_DEVICE void begin(std::int64_t t) {
    correction1 = 1 - std::pow(beta1, static_cast<double>(t));
    correction2 = 1 - std::pow(beta2, static_cast<double>(t));
  }

  template <class A>
  struct Factors {
    A beta1, rest1, beta2, rest2, keep, rate, root, epsilon;

    CRIA_HOST_DEVICE Factors(const AdamW& rule, double learning_rate, double weight_decay)
        : beta1(static_cast<A>(rule.beta1)),
          rest1(static_cast<A>(1 - rule.beta1)),
          beta2(static_cast<A>(rule.beta2)),
          rest2(static_cast<A>(1 - rule.beta2)),
          keep(static_cast<A>(1 - learning_rate * weight_decay)),
          rate(static_cast<A>(learning_rate / rule.correction1)),
          root(static_cast<A>(std::sqrt(rule.correction2))),
          epsilon(static_cast<A>(rule.epsilon)) {}

    CRIA_HOST_DEVICE void operator()(A g, A& x, A& m, A& v) const {
      m = beta1 * m + rest1 * g;
      v = beta2 * v + rest2 * g * g;
      x = x * keep - rate * m / (std::sqrt(v) / root + epsilon);
    }
  };
};

/// Adam, whose decay is part of the gradient. Kingma & Ba 2015.
///   g = g + decay x;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
///   x = x - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
struct Adam : AdamW {
  static constexpr std::string_view name = "adam";

  template <class A>
  struct Factors {
    AdamW::Factors<A> undecayed;
    A decay;

    CRIA_HOST_DEVICE Factors(const Adam& rule, double learning_rate, double weight_decay)
        : undecayed(rule, learning_rate, 0), decay(static_cast<A>(weight_decay)) {}

    CRIA_HOST_DEVICE void operator()(A g, A& x, A& m, A& v) const { undecayed(g + decay * x, x, m, v); }
  };
};

/// RMSprop: steps divided by the root of a running mean of squares, with momentum. Hinton 2012; PyTorch's
/// formula.
///   g = g + decay x;  v = alpha v + (1 - alpha) g^2
///   m = momentum m + g / (sqrt(v) + epsilon);  x = x - lr m
struct RMSprop {
  static constexpr std::string_view name = "rmsprop";
  static constexpr std::array<std::string_view, 2> state{"square_average", "momentum"};

  double alpha = 0, epsilon = 0, momentum = 0;

  CRIA_HOST_DEVICE void begin(std::int64_t) {}

  template <class A>
  struct Factors {
    A alpha, rest, epsilon, momentum, decay, rate;

    CRIA_HOST_DEVICE Factors(const RMSprop& rule, double learning_rate, double weight_decay)
        : alpha(static_cast<A>(rule.alpha)),
          rest(static_cast<A>(1 - rule.alpha)),
          epsilon(static_cast<A>(rule.epsilon)),
          momentum(static_cast<A>(rule.momentum)),
          decay(static_cast<A>(weight_decay)),
          rate(static_cast<A>(learning_rate)) {}

    CRIA_HOST_DEVICE void operator()(A g, A& x, A& v, A& m) const {
      g += decay * x;
      v = alpha * v + rest * g * g;
      m = momentum * m + g / (std::sqrt(v) + epsilon);
      x -= rate * m;
    }
  };
};

/// Stochastic gradient descent with momentum, PyTorch's formula. Polyak 1964; Sutskever et al. 2013.
///   g = g + decay x;  m = momentum m + g;  x = x - lr m, or x - lr (g + momentum m) if `nesterov`
struct SGD {
  static constexpr std::string_view name = "sgd";
  static constexpr std::array<std::string_view, 1> state{"momentum"};

  double momentum = 0;
  bool nesterov = false;

  CRIA_HOST_DEVICE void begin(std::int64_t) {}

  template <class A>
  struct Factors {
    A momentum, decay, rate;
    bool nesterov;

    CRIA_HOST_DEVICE Factors(const SGD& rule, double learning_rate, double weight_decay)
        : momentum(static_cast<A>(rule.momentum)),
          decay(static_cast<A>(weight_decay)),
          rate(static_cast<A>(learning_rate)),
          nesterov(rule.nesterov) {}

    CRIA_HOST_DEVICE void operator()(A g, A& x, A& m) const {
      g += decay * x;
      m = momentum * m + g;
      x -= rate * (nesterov ? g + momentum * m : m);
    }
  };
};

/// Lion: the sign of a momentum, with decoupled weight decay. Chen et al. 2023.
///   x = x - lr decay x - lr sign(beta1 m + (1 - beta1) g);  m = beta2 m + (1 - beta2) g
struct Lion {
  static constexpr std::string_view name = "lion";
  static constexpr std::array<std::string_view, 1> state{"momentum"};

  double beta1 = 0, beta2 = 0;

  CRIA_HOST_DEVICE void begin(std::int64_t) {}

  template <class A>
  struct Factors {
    A beta1, rest1, beta2, rest2, keep, rate;

    CRIA_HOST_DEVICE Factors(const Lion& rule, double learning_rate, double weight_decay)
        : beta1(static_cast<A>(rule.beta1)),
          rest1(static_cast<A>(1 - rule.beta1)),
          beta2(static_cast<A>(rule.beta2)),
          rest2(static_cast<A>(1 - rule.beta2)),
          keep(static_cast<A>(1 - learning_rate * weight_decay)),
          rate(static_cast<A>(learning_rate)) {}

    CRIA_HOST_DEVICE void operator()(A g, A& x, A& m) const {
      const A direction = beta1 * m + rest1 * g;
      x = x * keep - rate * (direction > 0 ? A(1) : direction < 0 ? A(-1) : direction);  // NaN stays NaN
      m = beta2 * m + rest2 * g;
    }
  };
};

// ---- parts of optimisers that are no formula on each element -----------------------------------------------

/// Muon's momentum; x becomes the direction that is to be orthogonalised. Jordan et al. 2024.
///   m = momentum m + (1 - momentum) g;  x = m, or momentum m + (1 - momentum) g if `nesterov`
struct Momentum {
  static constexpr std::string_view name = "momentum";
  static constexpr std::array<std::string_view, 1> state{"momentum"};

  double momentum = 0;
  bool nesterov = false;

  CRIA_HOST_DEVICE void begin(std::int64_t) {}

  template <class A>
  struct Factors {
    A momentum, rest;
    bool nesterov;

    CRIA_HOST_DEVICE Factors(const Momentum& rule, double, double)
        : momentum(static_cast<A>(rule.momentum)),
          rest(static_cast<A>(1 - rule.momentum)),
          nesterov(rule.nesterov) {}

    CRIA_HOST_DEVICE void operator()(A g, A& x, A& m) const {
      m = momentum * m + rest * g;
      x = nesterov ? momentum * m + rest * g : m;
    }
  };
};

/// Unscaled and clipped gradients: x = g.
struct Unscale {
  static constexpr std::string_view name = "unscale";
  static constexpr std::array<std::string_view, 0> state{};

  CRIA_HOST_DEVICE void begin(std::int64_t) {}

  template <class A>
  struct Factors {
    CRIA_HOST_DEVICE Factors(const Unscale&, double, double) {}
    CRIA_HOST_DEVICE void operator()(A g, A& x) const { x = g; }
  };
};

/// A running mean, x = x + weight (g - x), whose weight is t^power: 1 in the first step, then less.
struct Average {
  static constexpr std::string_view name = "average";
  static constexpr std::array<std::string_view, 0> state{};

  double power = 0;  // 0: the weight is `weight`
  double weight = 0;

  CRIA_HOST_DEVICE void begin(std::int64_t t) {
    if (power != 0) weight = std::pow(static_cast<double>(t), power);
  }

  template <class A>
  struct Factors {
    A weight;

    CRIA_HOST_DEVICE Factors(const Average& rule, double, double) : weight(static_cast<A>(rule.weight)) {}
    CRIA_HOST_DEVICE void operator()(A g, A& x) const { x += weight * (g - x); }
  };
};

/// A step in a direction g, with decoupled weight decay: x = x - lr decay x - rate g. The rate is the
/// learning rate, or where `damped` 1 / sqrt(t) if that is less.
struct Descend {
  static constexpr std::string_view name = "descend";
  static constexpr std::array<std::string_view, 0> state{};

  bool damped = false;
  double most = 0;

  CRIA_HOST_DEVICE void begin(std::int64_t t) { most = 1 / std::sqrt(static_cast<double>(t)); }

  template <class A>
  struct Factors {
    A keep, rate;

    CRIA_HOST_DEVICE Factors(const Descend& rule, double learning_rate, double weight_decay)
        : keep(static_cast<A>(1 - learning_rate * weight_decay)),
          rate(static_cast<A>(rule.damped && rule.most < learning_rate ? rule.most : learning_rate)) {}
    CRIA_HOST_DEVICE void operator()(A g, A& x) const { x = x * keep - rate * g; }
  };
};

/// What a step knows of its gradients, in the backend's memory, so that the host need not wait for it.
struct StepState {
  std::int64_t steps = 0;      // t: those whose gradients were finite
  double gradient_norm = 0;    // of the last step, before clipping
  double gradient_factor = 1;  // that its gradients are multiplied by: unscaled and clipped

  CRIA_HOST_DEVICE bool is_finite() const { return gradient_norm - gradient_norm == 0; }
};

/// It, and the rule with what it derives from the number of the step.
template <class Rule>
struct UpdateState : StepState {
  Rule rule = {};

  /// Counts a step unless the sum of its gradients' squares, which comes in parts, is not finite.
  CRIA_HOST_DEVICE void begin(const Rule& constants, const GradientScaling& scaling, Vec<const double> sums) {
    double sum_of_squares = 0;
    for (std::int64_t i = 0; i < sums.size; ++i) sum_of_squares += sums[i];
    gradient_norm = std::sqrt(sum_of_squares) / scaling.loss_scale;
    if (!is_finite()) return;
    gradient_factor = clip_factor(gradient_norm, scaling.max_norm) / scaling.loss_scale;
    rule = constants;
    rule.begin(++steps);
  }
};

/// A parameter and what its update needs; `master` is empty if the value itself is kept in acc_t<T>.
template <class Rule, class T>
struct UpdateTensor {
  Vec<const acc_t<T>> gradient;
  Vec<T> value;
  Vec<acc_t<T>> master;
  Vec<acc_t<T>> state[Rule::state.empty() ? 1 : Rule::state.size()];  // arrays have at least one element
  double learning_rate;
  double weight_decay;  // 0 if it does not decay
};

}  // namespace ops

}  // namespace cria
