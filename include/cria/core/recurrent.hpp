#pragma once
/// What one element of a recurrent network's state becomes in a step, and its derivatives: the formulas of
/// ops::GruCell and ops::LstmCell (core/operations.hpp), in acc_t.

#include "cria/core/config.hpp"
#include "cria/core/math.hpp"

namespace cria {

/// Gates r (reset) and z (update), the candidate n, and what of n comes from the state.
template <class A>
struct GruGates {
  A r, z, n, n_of_state;

  /// What input x and state h bring to a gate makes it; and n.
  CRIA_HOST_DEVICE CRIA_INLINE static A gate(A x, A h) { return math::sigmoid(x + h); }
  CRIA_HOST_DEVICE CRIA_INLINE static A candidate(A x_n, A r, A h_n) { return math::tanh(x_n + r * h_n); }
  CRIA_HOST_DEVICE CRIA_INLINE A next(A h) const { return n + z * (h - n); }

  struct Gradients {
    A r, z, n;     // of what x brings
    A n_of_state;  // and h, whose others are the same
    A h;           // without what comes through the gates
  };
  /// Where d is the gradient of next(h).
  CRIA_HOST_DEVICE CRIA_INLINE Gradients gradients(A d, A h) const {
    const A d_n = d * (1 - z) * (1 - n * n);
    return {d_n * n_of_state * r * (1 - r), d * (h - n) * z * (1 - z), d_n, d_n * r, d * z};
  }
};

/// Gates i (input), f (forget), o (output), and the candidate g.
template <class A>
struct LstmGates {
  A i, f, g, o;

  /// Of the sums of what input and state bring to each.
  CRIA_HOST_DEVICE CRIA_INLINE static LstmGates of(A i, A f, A g, A o) {
    return {math::sigmoid(i), math::sigmoid(f), math::tanh(g), math::sigmoid(o)};
  }
  CRIA_HOST_DEVICE CRIA_INLINE A next_cell(A c) const { return f * c + i * g; }
  CRIA_HOST_DEVICE CRIA_INLINE A output(A next_c) const { return o * math::tanh(next_c); }

  struct Gradients {
    A i, f, g, o;  // of the sums
    A c;
  };
  /// Where d_y is the gradient of output(next_c), and d_next_c what else is next_c's.
  CRIA_HOST_DEVICE CRIA_INLINE Gradients gradients(A d_y, A d_next_c, A c, A next_c) const {
    const A y = math::tanh(next_c), d = d_next_c + d_y * o * (1 - y * y);
    return {d * g * i * (1 - i), d * c * f * (1 - f), d * i * (1 - g * g), d_y * y * o * (1 - o), d * f};
  }
};

}  // namespace cria
