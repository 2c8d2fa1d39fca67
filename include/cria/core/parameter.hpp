#pragma once
/// Parameter: a value that training changes. Its gradient is kept in acc_t<T>, so that a 16-bit model sums
/// its gradients in float.

#include <memory>

#include "cria/core/tensor.hpp"

namespace cria {

/// A trained value of type T with a gradient of type acc_t<T>. Copies share both; `replica`
/// (nn/data_parallel.hpp) makes one that shares the value and owns its gradient.
template <FloatingPoint T, class B = DefaultBackend>
class Parameter {
 public:
  using value_type = T;
  using backend = B;
  using gradient_type = acc_t<T>;

  /// Uninitialised values.
  explicit Parameter(const Shape& shape)
      : value_(Tensor<T, B>::empty(shape)),
        gradient_(std::make_shared<detail::GradientSlot<gradient_type, B>>(shape.size())) {}

  const Shape& shape() const { return value_.shape(); }
  std::int64_t size() const { return value_.size(); }

  /// The values, outside the graph.
  Tensor<T, B>& value() { return value_; }
  const Tensor<T, B>& value() const { return value_; }
  Vec<const T> vec() const { return value_.vec(); }
  Rows<const T> rows() const { return value_.rows(); }

  /// Parameters are leaves: their gradient is always wanted and they have no node.
  bool requires_grad() const { return true; }
  std::shared_ptr<Node> node() const { return nullptr; }

  /// Views that backward functions add into, as they must then do.
  Gradient<Vec<gradient_type>> grad_vec() const { return gradient_->accumulate(); }
  Gradient<Rows<gradient_type>> grad_rows() const {
    const auto all = grad_vec();
    const auto values = value_.rows();
    return {{all.data, values.rows, values.cols}, all.fresh};
  }
  /// The gradient summed up so far, sharing its memory; undefined if there is none.
  Tensor<gradient_type, B> grad() const {
    return gradient_->storage() ? Tensor<gradient_type, B>(shape(), gradient_->storage())
                                : Tensor<gradient_type, B>{};
  }
  /// Takes `gradient`, with its memory, as the gradient summed up so far. Throws ShapeError if it has another
  /// shape.
  void set_grad(Tensor<gradient_type, B> gradient) {
    if (gradient.shape() != shape()) {
      throw ShapeError("set_grad: the gradient has shape " + to_string(gradient.shape()) +
                       " and the parameter " + to_string(shape()));
    }
    gradient_->share(gradient.storage());
  }
  bool has_grad() const { return gradient_->storage() != nullptr; }
  void clear_grad() { gradient_->clear(); }

  /// A parameter that shares this value and has a gradient of its own.
  Parameter with_own_gradient() const {
    Parameter result = *this;
    result.gradient_ = std::make_shared<detail::GradientSlot<gradient_type, B>>(size());
    return result;
  }

 private:
  Tensor<T, B> value_;
  std::shared_ptr<detail::GradientSlot<gradient_type, B>> gradient_;
};

}  // namespace cria
