#pragma once
/// Parameter: a value that training changes. Its gradient is kept in acc_t<T>, so that a 16-bit model sums
/// its gradients in float.

#include <atomic>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "cria/core/operations.hpp"
#include "cria/core/tensor_access.hpp"

namespace cria {

namespace detail {

/// What all copies and replicas of a parameter share.
struct ParameterFlags {
  explicit ParameterFlags(bool trained) : requires_grad(trained) {}
  bool requires_grad;
  std::atomic<bool> is_listed = false;  // by the `visit` of a module that was gone through
};

/// Whether there is a gradient of a parameter that no module lists.
struct UnlistedGradient {
  virtual ~UnlistedGradient() = default;
  virtual bool exists() const = 0;
};

/// A parameter that got a gradient on this thread and has it still, though no module lists it: as a rule a
/// field that `visit` leaves out. Optimisers ask for it: they would not train it.
struct UnlistedParameter {
  std::weak_ptr<const UnlistedGradient> gradient;
  Shape shape;

  bool exists() const {
    const auto alive = gradient.lock();
    return alive && alive->exists();
  }
};
CRIA_SHARED inline thread_local UnlistedParameter unlisted_parameter;

/// A parameter's gradient.
template <class T, class B>
class ParameterGradient final : public GradientSlot<T, B>,
                                public UnlistedGradient,
                                public std::enable_shared_from_this<ParameterGradient<T, B>> {
 public:
  ParameterGradient(const Shape& shape, const std::shared_ptr<const ParameterFlags>& flags)
      : GradientSlot<T, B>(shape.size(), {flags, &flags->requires_grad}), shape_(shape), flags_(flags) {}

  bool exists() const override { return this->storage() && !flags_->is_listed; }

 private:
  void begin() override {
    if (!flags_->is_listed && !unlisted_parameter.exists()) {
      unlisted_parameter = {this->shared_from_this(), shape_};
    }
  }

  Shape shape_;
  std::shared_ptr<const ParameterFlags> flags_;
};

/// What operations that know tensors alone add to if they get a parameter of 16 bits: a gradient of T, which
/// is added to the parameter's, of acc_t<T>, when the operation is done.
template <class T, class B>
class RoundedGradient final : public GradientSlot<T, B>,
                              public PassingGradient,
                              public std::enable_shared_from_this<RoundedGradient<T, B>> {
 public:
  RoundedGradient(std::int64_t size, std::shared_ptr<const bool> wanted,
                  std::shared_ptr<GradientSlot<acc_t<T>, B>> sum)
      : GradientSlot<T, B>(size, std::move(wanted)), size_(size), sum_(std::move(sum)) {}

  void hand_on() override {
    if (!this->storage()) return;
    kernel_for<ops::Accumulate, B>::add(Vec<const T>{this->storage()->data(), size_}, sum_->accumulate());
    this->clear();
  }

 private:
  void begin() override { passing_gradients.push_back(this->shared_from_this()); }

  std::int64_t size_;
  std::shared_ptr<GradientSlot<acc_t<T>, B>> sum_;
};

}  // namespace detail

/// A trained value of type T with a gradient of type acc_t<T>. Copies share both, and whether it is frozen;
/// `clone` shares nothing.
///
/// It is a tensor to every operation, and a Tensor that is made of it is a handle on its values and its
/// gradient. Operations that know parameters (linear, rms_norm, embedding, linear_cross_entropy) add to the
/// gradient in acc_t<T>; what another adds is rounded to T, each use by itself.
template <FloatingPoint T, class B = DefaultBackend>
class Parameter : public Tensor<T, B> {
 public:
  using gradient_type = acc_t<T>;

  /// Zeros; nn::initialize draws random numbers for matrices.
  explicit Parameter(const Shape& shape) : Parameter(std::nullopt, Tensor<T, B>::zeros(shape)) {}
  /// `constant` everywhere, which nn::initialize brings back: 1 for the factors of a norm.
  Parameter(const Shape& shape, double constant)
      : Parameter(constant, Tensor<T, B>::full(shape, static_cast<T>(static_cast<acc_t<T>>(constant)))) {}

  /// A parameter of another type or on another backend: own values, rounded to T, and no gradient; frozen if
  /// `other` is.
  template <class From, class Source>
  explicit Parameter(const Parameter<From, Source>& other)
      : Parameter(other.constant(), detail::converted<T, B>(other.value()),
                  std::make_shared<detail::ParameterFlags>(other.requires_grad())) {}

  /// What all values are before training, where that is one number.
  const std::optional<double>& constant() const { return constant_; }

  /// The values, outside the graph. They are changed in place (assign, mutable_vec): another tensor in their
  /// place would not be the parameter's.
  Tensor<T, B>& value() { return value_; }
  const Tensor<T, B>& value() const { return value_; }

  /// Whether backward will compute a gradient for this parameter; if not, it is frozen. Copies and replicas
  /// share it.
  bool requires_grad() const { return flags_->requires_grad; }
  /// Freezes the parameter, or has it trained again: as from the next forward on, operations compute a
  /// gradient only if one is `wanted`, and optimisers update it only then. Freezing forgets the gradient.
  void set_requires_grad(bool wanted) {
    flags_->requires_grad = wanted;
    if (!wanted) clear_grad();
  }

  /// The gradient summed up so far, sharing its memory; undefined if there is none.
  Tensor<gradient_type, B> grad() const {
    if (!has_grad()) return {};
    return detail::TensorAccess::tensor<gradient_type, B>(this->shape(), gradient_->storage());
  }
  /// Takes `gradient`, with its memory, as the gradient summed up so far. Throws ShapeError if it has another
  /// shape.
  void set_grad(const Tensor<gradient_type, B>& gradient) {
    if (gradient.shape() != this->shape()) {
      throw ShapeError("set_grad: the gradient has shape " + to_string(gradient.shape()) +
                       " and the parameter " + to_string(this->shape()));
    }
    gradient_->share(detail::TensorAccess::state(gradient)->values());
  }
  bool has_grad() const { return gradient_->storage() != nullptr; }
  void clear_grad() {
    gradient_->clear();
    detail::TensorAccess::state(*this)
        ->gradient->clear();  // of 16 bits: what an operation that threw has left
  }

  /// A parameter with values of its own, which are the same now, and no gradient; frozen if this one is.
  Parameter clone() const {
    return Parameter(constant_, value_.template to<B>(),
                     std::make_shared<detail::ParameterFlags>(requires_grad()));
  }
  /// A replica: a parameter that shares this value, and whether it is frozen, and has a gradient of its own.
  Parameter with_own_gradient() const { return Parameter(constant_, value_, flags_); }

 private:
  friend struct detail::TensorAccess;

  Parameter(std::optional<double> constant, const Tensor<T, B>& value,
            std::shared_ptr<detail::ParameterFlags> flags = std::make_shared<detail::ParameterFlags>(true))
      : Tensor<T, B>(value.detach()),
        constant_(constant),
        value_(value),
        gradient_(std::make_shared<detail::ParameterGradient<gradient_type, B>>(value.shape(), flags)),
        flags_(std::move(flags)) {
    auto& slot = detail::TensorAccess::state(*this)->gradient;
    if constexpr (std::is_same_v<T, gradient_type>) {
      slot = gradient_;
    } else {
      slot = std::make_shared<detail::RoundedGradient<T, B>>(
          value.size(), std::shared_ptr<const bool>(flags_, &flags_->requires_grad), gradient_);
    }
  }

  std::optional<double> constant_;
  Tensor<T, B> value_;
  std::shared_ptr<detail::GradientSlot<gradient_type, B>> gradient_;
  std::shared_ptr<detail::ParameterFlags> flags_;
};

}  // namespace cria
