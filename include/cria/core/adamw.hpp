#pragma once
/// The arithmetic of AdamW, which all backends share.

#include <cmath>
#include <cstdint>

#include "cria/core/config.hpp"
#include "cria/core/dtype.hpp"
#include "cria/core/view.hpp"

namespace cria::ops {

/// The numbers of one AdamW step.
struct AdamWStep {
  double learning_rate;
  double beta1;
  double beta2;
  double epsilon;
  double weight_decay;
  double loss_scale;  // the gradients are this many times too large
  double max_norm;    // that their norm is clipped to, or 0
};

/// What the steps keep in the backend's memory, so that the host need not wait for any of it.
struct AdamWState {
  std::int64_t steps = 0;      // t: those whose gradients were finite
  double gradient_norm = 0;    // of the last step, before clipping
  double gradient_factor = 1;  // that its gradients are multiplied by: unscaled and clipped
  double correction_1 = 1;     // 1 - beta1^t
  double correction_2 = 1;     // 1 - beta2^t

  CRIA_HOST_DEVICE bool is_finite() const { return gradient_norm - gradient_norm == 0; }

  /// Counts a step unless the sum of its gradients' squares, which comes in parts, is not finite.
  CRIA_HOST_DEVICE void begin(const AdamWStep& s, Vec<const double> sums) {
    double sum_of_squares = 0;
    for (std::int64_t i = 0; i < sums.size; ++i) sum_of_squares += sums[i];
    gradient_norm = std::sqrt(sum_of_squares) / s.loss_scale;
    if (!is_finite()) return;
    ++steps;
    const double clip = s.max_norm / (gradient_norm + 1e-6);
    gradient_factor = (s.max_norm > 0 && clip < 1 ? clip : 1.0) / s.loss_scale;
    correction_1 = 1 - std::pow(s.beta1, static_cast<double>(steps));
    correction_2 = 1 - std::pow(s.beta2, static_cast<double>(steps));
  }
};

/// The numbers of a step as each element needs them.
template <class A>
struct AdamWFactors {
  A gradient, beta1, rest1, beta2, rest2, keep, rate, root, epsilon;

  CRIA_HOST_DEVICE AdamWFactors(const AdamWStep& s, const AdamWState& state, bool decays)
      : gradient(static_cast<A>(state.gradient_factor)),
        beta1(static_cast<A>(s.beta1)),
        rest1(static_cast<A>(1 - s.beta1)),
        beta2(static_cast<A>(s.beta2)),
        rest2(static_cast<A>(1 - s.beta2)),
        keep(static_cast<A>(decays ? 1 - s.learning_rate * s.weight_decay : 1.0)),
        rate(static_cast<A>(s.learning_rate / state.correction_1)),
        root(static_cast<A>(std::sqrt(state.correction_2))),
        epsilon(static_cast<A>(s.epsilon)) {}

  /// One element, whose gradient is g.
  CRIA_HOST_DEVICE void update(A g, A& value, A& first, A& second) const {
    g *= gradient;
    first = beta1 * first + rest1 * g;
    second = beta2 * second + rest2 * g * g;
    value = value * keep - rate * first / (std::sqrt(second) / root + epsilon);
  }
};

/// A parameter and what its steps need; `master` is empty if the value itself is kept in acc_t<T>.
template <class T>
struct AdamWTensor {
  Vec<const acc_t<T>> gradient;
  Vec<T> value;
  Vec<acc_t<T>> master, first, second;
  bool decays;
};

}  // namespace cria::ops
