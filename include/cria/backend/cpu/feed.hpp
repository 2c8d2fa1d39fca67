#pragma once

#include <span>

#include "cria/backend/cpu/cpu.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/tensor.hpp"

namespace cria {

/// Copies. Threads may call it at once.
template <class T>
class Feed<T, Cpu> {
 public:
  explicit Feed(const Shape& shape) : shape_(shape) {}

  Tensor<T, Cpu> operator()(std::span<const T> values) const {
    const std::int64_t row = shape_.size() / shape_.dim(0);
    return Tensor<T, Cpu>::from(shape_.with_dim(0, std::ssize(values) / row), values);
  }

 private:
  Shape shape_;
};

}  // namespace cria
