#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <tuple>
#include <utility>

#include "cria/data/source.hpp"

namespace cria::data {

/// Tensors in memory as a source: example i is row i of each, inputs [n, ...] and targets [n, ...] as a rule.
/// It shares the tensors' memory.
template <class... T>
class Examples {
 public:
  /// Throws ShapeError unless all begin with the same number of examples.
  explicit Examples(Tensor<T, Cpu>... tensors) : tensors_(std::move(tensors)...) {
    std::apply(
        [&](const auto& first, const auto&... others) {
          check(first, first);
          (check(first, others), ...);
          size_ = static_cast<std::size_t>(first.dim(0));
        },
        tensors_);
  }

  std::size_t size() const { return size_; }

  /// Copies of the i-th rows. Throws ShapeError if there is no such example.
  std::tuple<Tensor<T, Cpu>...> operator[](std::size_t i) const {
    detail::check_index("data::Examples", i, size_);
    return std::apply([&](const auto&... x) { return std::tuple(row(x, i)...); }, tensors_);
  }

  /// Copies of the rows with these indices, tensors [indices.size(), ...]. Throws ShapeError if there is no
  /// such example.
  std::tuple<Tensor<T, Cpu>...> gather(std::span<const std::size_t> indices) const {
    for (const std::size_t index : indices) detail::check_index("data::Examples", index, size_);
    return std::apply([&](const auto&... x) { return std::tuple(rows(x, indices)...); }, tensors_);
  }

 private:
  static_assert(sizeof...(T) > 0, "data::Examples: at least one tensor is needed");

  static void check(const auto& first, const auto& other) {
    if (other.rank() > 0 && other.dim(0) == first.dim(0)) return;
    throw ShapeError("data::Examples: tensors are " + to_string(first.shape()) + " and " +
                     to_string(other.shape()) + "; all must begin with the same number of examples");
  }

  template <class U>
  static Tensor<U, Cpu> row(const Tensor<U, Cpu>& x, std::size_t i) {
    const Shape shape = detail::row_shape(x.shape());
    const auto size = static_cast<std::size_t>(shape.size());
    return Tensor<U, Cpu>::from(shape, std::span<const U>(x.vec().data + i * size, size));
  }

  template <class U>
  static Tensor<U, Cpu> rows(const Tensor<U, Cpu>& x, std::span<const std::size_t> indices) {
    auto result = Tensor<U, Cpu>::empty(x.shape().with_dim(0, static_cast<std::int64_t>(indices.size())));
    const auto size = static_cast<std::size_t>(detail::row_shape(x.shape()).size());
    const U* from = x.vec().data;
    U* to = result.mutable_vec().data;
    for (const std::size_t index : indices) to = std::copy_n(from + index * size, size, to);
    return result;
  }

  std::tuple<Tensor<T, Cpu>...> tensors_;
  std::size_t size_ = 0;
};

}  // namespace cria::data
