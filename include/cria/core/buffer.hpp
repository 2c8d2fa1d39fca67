#pragma once
/// Buffer: a value that belongs to a module and is not trained, like a running mean.

#include <utility>

#include "cria/core/tensor.hpp"

namespace cria {

/// Values of type T without a gradient, which are saved, loaded and cloned with the module that lists them.
/// Copies share them; `clone` shares nothing. A module whose operator() is const changes them through a copy.
/// Every call changes them, but not where nn::recompute repeats it (is_recomputing). TrainStep brings them
/// back where a step is forgotten after an exception.
template <class T, class B = DefaultBackend>
class Buffer {
 public:
  /// `constant` everywhere.
  explicit Buffer(const Shape& shape, T constant = T()) : value_(Tensor<T, B>::full(shape, constant)) {}

  /// A buffer of another type or on another backend, with values of its own.
  template <class From, class Source>
  explicit Buffer(const Buffer<From, Source>& other) : value_(detail::converted<T, B>(other.value())) {}

  const Shape& shape() const { return value_.shape(); }
  std::int64_t size() const { return value_.size(); }

  /// The values, which are changed in place (assign, mutable_vec).
  Tensor<T, B>& value() { return value_; }
  const Tensor<T, B>& value() const { return value_; }

  /// Takes over the values of `other`, which has the same shape.
  void copy_from(const Buffer& other) {
    B::copy(value_.mutable_vec().data, other.value_.vec().data, static_cast<std::size_t>(size()) * sizeof(T));
  }
  /// A buffer with values of its own, which are the same now.
  Buffer clone() const {
    Buffer result = *this;
    result.value_ = value_.template to<B>();
    return result;
  }

 private:
  Tensor<T, B> value_;
};

}  // namespace cria
