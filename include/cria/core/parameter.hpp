#pragma once
/// Parameter: a value that training changes. Its gradient is kept in acc_t<T>, so that a 16-bit model sums
/// its gradients in float.

#include <memory>
#include <optional>

#include "cria/core/tensor_access.hpp"

namespace cria {

/// A trained value of type T with a gradient of type acc_t<T>. Copies share both, and whether it is frozen;
/// `clone` shares nothing.
template <FloatingPoint T, class B = DefaultBackend>
class Parameter {
 public:
  using value_type = T;
  using backend = B;
  using gradient_type = acc_t<T>;

  /// Zeros; nn::initialize draws random numbers for matrices.
  explicit Parameter(const Shape& shape) : Parameter(shape, std::nullopt, Tensor<T, B>::zeros(shape)) {}
  /// `constant` everywhere, which nn::initialize brings back: 1 for the factors of a norm.
  Parameter(const Shape& shape, double constant)
      : Parameter(shape, constant,
                  Tensor<T, B>::full(shape, static_cast<T>(static_cast<acc_t<T>>(constant)))) {}

  const Shape& shape() const { return value_.shape(); }
  std::int64_t size() const { return value_.size(); }

  /// What all values are before training, where that is one number.
  const std::optional<double>& constant() const { return constant_; }

  /// The values, outside the graph.
  Tensor<T, B>& value() { return value_; }
  const Tensor<T, B>& value() const { return value_; }
  Vec<const T> vec() const { return value_.vec(); }
  Rows<const T> rows() const { return value_.rows(); }

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
    if (!has_grad()) return {};
    return detail::TensorAccess::tensor<gradient_type, B>(shape(), gradient_->storage());
  }
  /// Takes `gradient`, with its memory, as the gradient summed up so far. Throws ShapeError if it has another
  /// shape.
  void set_grad(const Tensor<gradient_type, B>& gradient) {
    if (gradient.shape() != shape()) {
      throw ShapeError("set_grad: the gradient has shape " + to_string(gradient.shape()) +
                       " and the parameter " + to_string(shape()));
    }
    gradient_->share(detail::TensorAccess::state(gradient)->values());
  }
  bool has_grad() const { return gradient_->storage() != nullptr; }
  void clear_grad() { gradient_->clear(); }

  /// A parameter with values of its own, which are the same now, and no gradient; frozen if this one is.
  Parameter clone() const {
    Parameter result(shape(), constant_, value_.template to<B>());
    *result.requires_grad_ = requires_grad();
    return result;
  }
  /// A replica: a parameter that shares this value, and whether it is frozen, and has a gradient of its own.
  Parameter with_own_gradient() const {
    Parameter result = *this;
    result.gradient_ = std::make_shared<detail::GradientSlot<gradient_type, B>>(size());
    return result;
  }

 private:
  friend struct detail::TensorAccess;

  Parameter(const Shape& shape, std::optional<double> constant, Tensor<T, B> value)
      : constant_(constant),
        value_(std::move(value)),
        gradient_(std::make_shared<detail::GradientSlot<gradient_type, B>>(shape.size())) {}

  std::optional<double> constant_;
  Tensor<T, B> value_;
  std::shared_ptr<detail::GradientSlot<gradient_type, B>> gradient_;
  std::shared_ptr<bool> requires_grad_ = std::make_shared<bool>(true);
};

}  // namespace cria
