#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace pretrain {

/// Losses and gradients that are no finite numbers, as those of a run that has diverged.
class Divergence {
 public:
  /// Notes an iteration. Returns whether `most` in a row, up to this one, were not finite.
  bool note(std::int64_t iteration, double loss, bool is_finite, std::int64_t most) {
    if (is_finite) {
      in_a_row_ = 0;
      last_finite_ = Finite{iteration, loss};
      return false;
    }
    last_iteration_ = iteration;
    return ++in_a_row_ == most;
  }

  /// Whether the last iteration was finite.
  bool is_absent() const { return in_a_row_ == 0; }

  /// "training has diverged: since iteration 7 the loss or its gradient is no finite number, and the last
  /// finite loss was 2.1234 at iteration 6".
  std::string sentence() const;

 private:
  struct Finite {
    std::int64_t iteration;
    double loss;
  };

  std::int64_t in_a_row_ = 0;
  std::int64_t last_iteration_ = 0;
  std::optional<Finite> last_finite_;
};

}  // namespace pretrain
