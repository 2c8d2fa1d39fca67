#pragma once
/// Tokens and targets, examined on the device.

#include "cria/backend/cuda/block_reduce.cuh"
#include "cria/backend/cuda/cuda.hpp"
#include "cria/backend/cuda/launch.hpp"

namespace cria::cuda {

/// Counts the indices in [0, bound) and leaves a note about the first that is neither that nor `ignored`. One
/// block, so that it is the first in every run.
template <bool MayIgnore>
__global__ void __launch_bounds__(1024)
    check_indices_kernel(Vec<const std::int32_t> indices, std::int64_t bound, std::int32_t ignored,
                         IndexError::Kind kind, const char* op, IndexError* note, std::int64_t* count) {
  std::int64_t inside = 0, first_bad = indices.size;
  for (std::int64_t i = threadIdx.x; i < indices.size; i += blockDim.x) {
    const std::int32_t index = indices[i];
    if (MayIgnore && index == ignored) continue;
    if (index >= 0 && index < bound) {
      ++inside;
    } else if (first_bad == indices.size) {
      first_bad = i;
    }
  }
  inside = block_sum(inside);
  first_bad = -block_reduce(-first_bad, ops::Largest());
  if (threadIdx.x > 0) return;
  if (count) *count = inside;
  if (first_bad < indices.size && note->kind == IndexError::none) {
    *note = {kind, indices[first_bad], ignored, first_bad, bound, op};
  }
}

/// Throws ShapeError, when the host next waits for the stream, for an index outside [0, bound). A gather says
/// which operation it is for.
inline void check_indices(IndexError::Kind kind, Vec<const std::int32_t> indices, std::int64_t bound,
                          const char* op = nullptr) {
  launch(check_indices_kernel<false>, 1, 1024, 0, indices, bound, 0, kind, op,
         IndexErrorNotes::instance().for_kernel(), nullptr);
}

/// count[0] = how many targets count. Throws ShapeError, when the host next waits for the stream, for one
/// outside [0, classes) that is not `ignore`.
inline void count_targets(IndexError::Kind kind, Vec<const std::int32_t> targets, std::int64_t classes,
                          std::int32_t ignore, std::int64_t* count) {
  launch(check_indices_kernel<true>, 1, 1024, 0, targets, classes, ignore, kind, nullptr,
         IndexErrorNotes::instance().for_kernel(), count);
}

}  // namespace cria::cuda
