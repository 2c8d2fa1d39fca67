#pragma once
/// What is done to gradients outside the graph.

#include "cria/core/kernel.hpp"
#include "cria/core/parameter.hpp"

namespace cria {

namespace ops {
/// kernel: sum(x, total) *total = the sum of squares of all arrays of the span x, in double and in an order
/// that does not depend on threads; total is in the backend's memory, the span in the host's.
struct SumOfSquares;
/// kernel: apply(factor, x) x *= factor.
struct ScaleInPlace;
}  // namespace ops

}  // namespace cria

#include "cria/backend/cpu/gradients.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/gradients.cuh"
#endif
