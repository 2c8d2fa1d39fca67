#pragma once

#include <memory>
#include <utility>

#include "cria/core/tensor.hpp"

namespace cria {

template <FloatingPoint T, class B>
class Parameter;

namespace detail {

/// The way to what tensors and parameters keep from their users.
struct TensorAccess {
  template <class T, class B>
  static Tensor<T, B> tensor(const Shape& shape, std::shared_ptr<Storage<T, B>> storage) {
    return {shape, std::move(storage)};
  }
  template <class T, class B>
  static const std::shared_ptr<TensorState<T, B>>& state(const Tensor<T, B>& x) {
    x.state("inputs");
    return x.state_;
  }
  /// Where the gradient is summed up; null if it is not wanted.
  template <class T, class B>
  static std::shared_ptr<GradientSlot<T, B>> slot(const Tensor<T, B>& x) {
    return x.requires_grad() ? state(x)->gradient : nullptr;
  }
  template <class T, class B>
  static std::shared_ptr<GradientSlot<acc_t<T>, B>> slot(const Parameter<T, B>& x) {
    return x.requires_grad() ? x.gradient_ : nullptr;
  }
  /// A module's `visit` has x.
  template <class T, class B>
  static void set_listed(const Parameter<T, B>& x) {
    x.flags_->is_listed.store(true, std::memory_order_relaxed);
  }
};

}  // namespace detail

}  // namespace cria
