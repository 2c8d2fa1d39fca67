#pragma once
/// What examples come from.

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "cria/backend/cpu/cpu.hpp"
#include "cria/core/error.hpp"
#include "cria/core/shape.hpp"
#include "cria/core/tensor.hpp"

namespace cria::data {

namespace detail {

/// The type of several examples of type E in tensors on B; void where E is no example.
template <class E, class B>
struct BatchOf {
  using type = void;
};
template <class... T, class B>
struct BatchOf<std::tuple<Tensor<T, Cpu>...>, B> {
  using type = std::tuple<Tensor<T, B>...>;
};
template <class X, class Y, class B>
struct BatchOf<std::pair<Tensor<X, Cpu>, Tensor<Y, Cpu>>, B> {
  using type = std::tuple<Tensor<X, B>, Tensor<Y, B>>;
};

template <class S>
using Example = std::remove_cvref_t<decltype(std::declval<const S&>()[std::size_t{}])>;

}  // namespace detail

/// Something with size() and operator[](i), i from 0, which gives the i-th example: a std::pair or std::tuple
/// of tensors on the CPU. All examples have the same shapes. Both are const, and operator[] may be called on
/// another thread than the one that made the source, by one at a time. A std::vector of pairs is a source.
///
/// A source that makes many examples at once faster than one by one also has gather(indices), which gives a
/// std::tuple of tensors [indices.size(), ...] for a std::span<const std::size_t>.
template <class S>
concept Source = requires(const S& source, std::size_t i) {
  { source.size() } -> std::convertible_to<std::size_t>;
  source[i];
}
&&!std::is_void_v<typename detail::BatchOf<detail::Example<S>, Cpu>::type>;

/// Several examples of a source: a std::tuple of tensors [n, ...] on B.
template <Source S, class B>
using batch_t = typename detail::BatchOf<detail::Example<S>, B>::type;

namespace detail {

/// [n, ...] for n examples of `shape`.
inline Shape batch_shape(std::size_t n, const Shape& shape) {
  std::vector<std::int64_t> dims{static_cast<std::int64_t>(n)};
  dims.insert(dims.end(), shape.begin(), shape.end());
  return Shape(dims);
}

/// That of an example in a batch [n, ...].
inline Shape row_shape(const Shape& batch) {
  return Shape(std::span(batch.begin(), batch.end()).subspan(1));
}

/// Throws ShapeError, in the name of `owner`, if it has no example i.
inline void check_index(const char* owner, std::size_t i, std::size_t size) {
  if (i < size) return;
  throw ShapeError(std::string(owner) + ": there is no example " + std::to_string(i) + "; there are " +
                   std::to_string(size));
}

/// Copies the example that source[index] gave to place `row` of a batch's tensor.
template <class T>
void put(Tensor<T, Cpu>& batch, std::size_t row, const Tensor<T, Cpu>& example, std::size_t index) {
  const Shape shape = row_shape(batch.shape());
  if (example.shape() != shape) {
    throw ShapeError("data: a tensor of example " + std::to_string(index) + " is " +
                     to_string(example.shape()) + ", that of the batch's first " + to_string(shape) +
                     "; all examples must have the same shapes");
  }
  const auto size = static_cast<std::size_t>(example.size());
  std::copy_n(example.vec().data, size, batch.mutable_vec().data + row * size);
}

}  // namespace detail

/// The examples with these indices, one after the other: tensors [indices.size(), ...]. Throws ShapeError if
/// the shapes of examples differ or there are no indices, and what the source throws.
template <Source S>
batch_t<S, Cpu> gather(const S& source, std::span<const std::size_t> indices) {
  if constexpr (requires { source.gather(indices); }) {
    return source.gather(indices);
  } else {
    if (indices.empty())
      throw ShapeError("data: a batch of no examples has no shape; at least one is needed");
    return [&]<std::size_t... part>(std::index_sequence<part...>) {
      const auto first = source[indices[0]];
      batch_t<S, Cpu> batch{std::remove_cvref_t<decltype(std::get<part>(first))>::empty(
          detail::batch_shape(indices.size(), std::get<part>(first).shape()))...};
      (detail::put(std::get<part>(batch), 0, std::get<part>(first), indices[0]), ...);
      for (std::size_t row = 1; row < indices.size(); ++row) {
        const auto example = source[indices[row]];
        (detail::put(std::get<part>(batch), row, std::get<part>(example), indices[row]), ...);
      }
      return batch;
    }
    (std::make_index_sequence<std::tuple_size_v<detail::Example<S>>>{});
  }
}

}  // namespace cria::data
