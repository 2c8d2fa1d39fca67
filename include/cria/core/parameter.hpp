#pragma once
/// Parameter: a value that training changes. Its gradient is kept in acc_t<T>, so that a 16-bit model sums
/// its gradients in float.

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "cria/core/tensor_access.hpp"

namespace cria {

/// A trained value of type T with a gradient of type acc_t<T>. Copies share both, and whether it is frozen;
/// `clone` shares nothing. It is a tensor to every operation. Those that know parameters add to the gradient
/// in acc_t<T>; what others add is rounded to T first, each use by itself.
template <FloatingPoint T, class B = DefaultBackend>
class Parameter : public Tensor<T, B> {
 public:
  using gradient_type = acc_t<T>;

  /// Zeros; nn::initialize draws random numbers for matrices.
  explicit Parameter(const Shape& shape) : Parameter(std::nullopt, Tensor<T, B>::zeros(shape)) {}
  /// `constant` everywhere, which nn::initialize brings back: 1 for the factors of a norm.
  Parameter(const Shape& shape, double constant)
      : Parameter(constant, Tensor<T, B>::full(shape, static_cast<T>(static_cast<acc_t<T>>(constant)))) {}

  /// What all values are before training, where that is one number.
  const std::optional<double>& constant() const { return constant_; }

  /// The values, outside the graph. They are changed in place (assign, mutable_vec): another tensor in their
  /// place would not be the parameter's.
  Tensor<T, B>& value() { return value_; }
  const Tensor<T, B>& value() const { return value_; }

  /// Whether backward will compute a gradient for this parameter; if not, it is frozen. Copies and replicas
  /// share it.
  bool requires_grad() const { return *requires_grad_; }
  /// Freezes the parameter, or has it trained again: as from the next forward on, operations compute a
  /// gradient only if one is `wanted`, and optimisers update it only then. Freezing forgets the gradient.
  void set_requires_grad(bool wanted) {
    *requires_grad_ = wanted;
    if (!wanted) clear_grad();
  }

  /// The gradient summed up so far, sharing its memory; undefined if there is none.
  Tensor<gradient_type, B> grad() const {
    of_uses().pass_on();
    if (!gradient_->storage()) return {};
    return detail::TensorAccess::tensor<gradient_type, B>(this->shape(), gradient_->storage());
  }
  /// Takes `gradient`, with its memory, as the gradient summed up so far. Throws ShapeError if it has another
  /// shape.
  void set_grad(const Tensor<gradient_type, B>& gradient) {
    if (gradient.shape() != this->shape()) {
      throw ShapeError("set_grad: the gradient has shape " + to_string(gradient.shape()) +
                       " and the parameter " + to_string(this->shape()));
    }
    clear_grad();
    gradient_->share(detail::TensorAccess::state(gradient)->values());
  }
  bool has_grad() const { return gradient_->storage() || of_uses().storage(); }
  void clear_grad() {
    of_uses().clear();
    gradient_->clear();
  }

  /// A parameter with values of its own, which are the same now, and no gradient; frozen if this one is.
  Parameter clone() const {
    Parameter result(constant_, value_.template to<B>());
    *result.requires_grad_ = requires_grad();
    return result;
  }
  /// A replica: a parameter that shares this value, and whether it is frozen, and has a gradient of its own.
  Parameter with_own_gradient() const {
    Parameter result(constant_, value_);
    result.share_freezing(requires_grad_);
    return result;
  }

 private:
  friend struct detail::TensorAccess;

  Parameter(std::optional<double> constant, const Tensor<T, B>& value)
      : Tensor<T, B>(value.detach()),
        constant_(constant),
        value_(value),
        gradient_(std::make_shared<detail::GradientSlot<gradient_type, B>>(value.size())) {
    share_freezing(std::make_shared<bool>(true));
  }

  /// Lets `wanted` say whether gradients are.
  void share_freezing(std::shared_ptr<bool> wanted) {
    requires_grad_ = std::move(wanted);
    using Slot = detail::GradientSlot<T, B>;
    std::shared_ptr<Slot>& slot = detail::TensorAccess::state(*this)->gradient;
    if constexpr (std::is_same_v<T, gradient_type>) {
      gradient_ = std::make_shared<Slot>(this->size(), requires_grad_, nullptr);
      slot = gradient_;
    } else {
      slot = std::make_shared<Slot>(this->size(), requires_grad_, gradient_);
    }
  }
  /// What operations that take it for a tensor add to.
  detail::GradientSlot<T, B>& of_uses() const { return *detail::TensorAccess::state(*this)->gradient; }

  std::optional<double> constant_;
  Tensor<T, B> value_;
  std::shared_ptr<detail::GradientSlot<gradient_type, B>> gradient_;
  std::shared_ptr<bool> requires_grad_;
};

}  // namespace cria
