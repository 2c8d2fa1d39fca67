#include "divergence.hpp"

#include <cstdio>

namespace pretrain {

std::string Divergence::sentence() const {
  char last[96] = "it never was";
  if (last_finite_) {
    std::snprintf(last, sizeof(last), "the last finite loss was %.4f at iteration %lld", last_finite_->loss,
                  static_cast<long long>(last_finite_->iteration));
  }
  return "training has diverged: since iteration " + std::to_string(last_iteration_ + 1 - in_a_row_) +
         " the loss or its gradient is no finite number, and " + last;
}

}  // namespace pretrain
