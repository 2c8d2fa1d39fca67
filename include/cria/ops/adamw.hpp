#pragma once

#include "cria/core/kernel.hpp"

namespace cria {

namespace ops {

/// The numbers of one AdamW step.
struct AdamWStep {
  double learning_rate;
  double beta1;
  double beta2;
  double epsilon;
  double decay;         // learning_rate * weight_decay, or 0
  double correction_1;  // 1 - beta1^t
  double correction_2;  // 1 - beta2^t
};

/// kernel: step(s, gradient, value, master, first, second): one pass over a parameter; `master` is empty if
/// the value itself is kept in acc_t<T>.
struct AdamW;

}  // namespace ops

}  // namespace cria

#include "cria/backend/cpu/adamw.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/adamw.cuh"
#endif
