#pragma once

#include <memory>
#include <type_traits>

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

/// The same for a gradient of another type.
template <FloatingPoint T, FloatingPoint From, class B>
void accumulate(const Sink<T, B>& sink, const Tensor<From, B>& gradient) {
  if (sink) kernel_for<ops::Accumulate, B>::add(gradient.vec(), sink.vec());
}

/// Calls run(wide) with a sink of A, for a kernel that sums a gradient up in A: that of a parameter as it is,
/// or one whose sum is then added to a tensor's gradient.
template <FloatingPoint A, FloatingPoint T, class B, class F>
void with_wide_sink(const Sink<T, B>& to, F run) {
  if constexpr (std::is_same_v<A, T>) {
    run(to);
  } else if (!to) {
    run(Sink<A, B>(to.shape(), nullptr));
  } else {
    const auto wide = std::make_shared<detail::GradientSlot<A, B>>(to.shape().size());
    run(Sink<A, B>(to.shape(), wide));
    accumulate(to, detail::TensorAccess::tensor<A, B>(to.shape(), wide->storage()));
  }
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
