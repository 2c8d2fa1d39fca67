#pragma once

#include "cria/backend/cpu/accumulate.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/accumulate.cuh"
#endif

namespace cria {

/// Adds `gradient` to what `sink` sums up, which has as many elements. The first one is not copied but
/// shared.
template <FloatingPoint T, class B>
void accumulate(const Sink<T, B>& sink, const Tensor<T, B>& gradient) {
  if (sink && !sink.share_first(gradient)) kernel_for<ops::Accumulate, B>::add(gradient.vec(), sink.vec());
}

namespace detail {
/// Records y = a + b, however it was computed.
template <FloatingPoint T, class B>
Tensor<T, B> record_sum(const Tensor<T, B>& y, const Tensor<T, B>& a, const Tensor<T, B>& b) {
  return record("add", y, inputs(unread(a), unread(b)), [da = sink(a), db = sink(b)](const Tensor<T, B>& dy) {
    accumulate(da, dy);
    accumulate(db, dy);
  });
}
}  // namespace detail

}  // namespace cria
