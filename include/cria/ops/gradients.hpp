#pragma once
/// What optimisers do to gradients outside the graph.

#include "cria/core/kernel.hpp"
#include "cria/core/parameter.hpp"

namespace cria {

namespace ops {
/// kernel: sum(x) -> double, the sum of squares in double, in an order that does not depend on threads.
struct SumOfSquares;
/// kernel: apply(factor, x) x *= factor.
struct ScaleInPlace;
}  // namespace ops

}  // namespace cria

#include "cria/backend/cpu/gradients.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/gradients.cuh"
#endif
