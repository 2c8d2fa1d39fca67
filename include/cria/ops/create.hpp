#pragma once
/// Tensors that are made from nothing but numbers. The element type is spelled: arange<float>(10). Random
/// ones draw from a generator, the same numbers on every backend.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "cria/core/dtype.hpp"
#include "cria/core/random.hpp"
#include "cria/core/tensor.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/cuda.hpp"
#endif
#include "cria/backend/cpu/cpu.hpp"

namespace cria {

namespace detail {
/// What a sequence of T is counted in.
template <class T>
using sequence_t = std::conditional_t<std::is_integral_v<T>, std::int64_t, double>;

template <class T, class B>
Tensor<T, B> sequence(const Shape& shape, sequence_t<T> start, sequence_t<T> step) {
  auto y = Tensor<T, B>::empty(shape);
  const Vec<T> all = y.mutable_vec();
  B::fill_sequence(all.data, all.size, start, step);
  return y;
}

/// Throws ShapeError if T is a type of integers that does not hold `number`.
template <class T>
void check_holds(const char* op, std::int64_t number) {
  if constexpr (Number<T> && std::is_integral_v<T>) {
    if (std::in_range<T>(number)) return;
    throw ShapeError(std::string(op) + ": " + std::to_string(number) + " is no " +
                     std::string(dtype_name<T>) + "; the elements' type must hold every number");
  }
}
/// Throws ShapeError for a negative size.
inline void check_size(const char* op, const char* name, std::int64_t size) {
  if (size >= 0) return;
  throw ShapeError(std::string(op) + ": " + name + " is " + std::to_string(size) + "; it must be 0 or more");
}

/// Elements that `fill(std::span<T>)` writes on the host, over zeros.
template <class T, class B, class F>
Tensor<T, B> filled(const Shape& shape, F fill) {
  auto y = Tensor<T, B>::empty(shape);  // refuses what is too large
  const auto size = static_cast<std::size_t>(shape.size());
  const auto memory = std::make_unique<T[]>(size);
  const std::span<T> values(memory.get(), size);
  fill(values);
  y.assign(values);
  return y;
}
/// Elements that `draw` gives one after the other.
template <class T, class B, class F>
Tensor<T, B> drawn(const Shape& shape, F draw) {
  return filled<T, B>(shape, [&](std::span<T> values) {
    for (T& value : values) value = static_cast<T>(static_cast<acc_t<T>>(draw()));
  });
}
}  // namespace detail

/// start, start + step, ... before stop. Throws ShapeError if step is 0 or leads away from stop, or if T does
/// not hold the numbers.
template <class T, class B = DefaultBackend>
Tensor<T, B> arange(std::type_identity_t<detail::sequence_t<T>> start,
                    std::type_identity_t<detail::sequence_t<T>> stop,
                    std::type_identity_t<detail::sequence_t<T>> step = 1) {
  const double range = static_cast<double>(stop) - static_cast<double>(start);
  double count = std::ceil(range / static_cast<double>(step));
  if constexpr (std::is_integral_v<T>) {  // a double does not hold the difference of all integers
    if (step != 0 && (stop > start) == (step > 0) && stop != start) {
      const auto distance = [](std::int64_t from, std::int64_t to) {
        return static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from);
      };
      const std::uint64_t by = step > 0 ? distance(0, step) : distance(step, 0);
      const std::uint64_t last = (step > 0 ? distance(start, stop) - 1 : distance(stop, start) - 1) / by;
      count = static_cast<double>(last) + 1;
      detail::check_holds<T>("arange", start);
      detail::check_holds<T>("arange", static_cast<std::int64_t>(static_cast<std::uint64_t>(start) +
                                                                 last * static_cast<std::uint64_t>(step)));
    }
  }
  if (!(count >= 0 && std::isfinite(count))) {
    throw ShapeError("arange: from " + std::to_string(start) + " to " + std::to_string(stop) +
                     " by steps of " + std::to_string(step) +
                     "; the step must lead from the one to the other");
  }
  return detail::sequence<T, B>({static_cast<std::int64_t>(count)}, start, step);
}
/// 0, 1, ... before stop.
template <class T, class B = DefaultBackend>
Tensor<T, B> arange(std::type_identity_t<detail::sequence_t<T>> stop) {
  return arange<T, B>(0, stop);
}

/// `count` numbers from `start` to `stop`, both included, at equal distances. Throws ShapeError for a
/// negative count.
template <FloatingPoint T, class B = DefaultBackend>
Tensor<T, B> linspace(double start, double stop, std::int64_t count) {
  detail::check_size("linspace", "count", count);
  return detail::sequence<T, B>({count}, start,
                                count > 1 ? (stop - start) / static_cast<double>(count - 1) : 0.0);
}

/// Ones on the diagonal of a matrix [rows, columns], zeros elsewhere. Throws ShapeError for a negative size.
template <class T, class B = DefaultBackend>
Tensor<T, B> eye(std::int64_t rows, std::int64_t columns) {
  detail::check_size("eye", "rows", rows);
  detail::check_size("eye", "columns", columns);
  return detail::filled<T, B>({rows, columns}, [&](std::span<T> values) {
    for (std::int64_t i = 0; i < std::min(rows, columns); ++i) {
      values[static_cast<std::size_t>(i * columns + i)] = static_cast<T>(static_cast<acc_t<T>>(1));
    }
  });
}
template <class T, class B = DefaultBackend>
Tensor<T, B> eye(std::int64_t size) {
  return eye<T, B>(size, size);
}

template <class T, class B = DefaultBackend>
Tensor<T, B> zeros(const Shape& shape) {
  return Tensor<T, B>::zeros(shape);
}
template <class T, class B = DefaultBackend>
Tensor<T, B> ones(const Shape& shape) {
  return Tensor<T, B>::full(shape, static_cast<T>(static_cast<acc_t<T>>(1)));
}
/// Tensors of x's shape, type and backend.
template <class T, class B>
Tensor<T, B> empty_like(const Tensor<T, B>& x) {
  return Tensor<T, B>::empty(x.shape());
}
template <class T, class B>
Tensor<T, B> zeros_like(const Tensor<T, B>& x) {
  return Tensor<T, B>::zeros(x.shape());
}
template <class T, class B>
Tensor<T, B> ones_like(const Tensor<T, B>& x) {
  return ones<T, B>(x.shape());
}
template <class T, class B>
Tensor<T, B> full_like(const Tensor<T, B>& x, std::type_identity_t<T> value) {
  return Tensor<T, B>::full(x.shape(), value);
}

/// Uniform in [0, 1); in 16 bits the greatest are rounded to 1.
template <FloatingPoint T, class B = DefaultBackend>
Tensor<T, B> rand(const Shape& shape, Rng& rng) {
  return detail::drawn<T, B>(shape, [&] { return rng.uniform(); });
}
/// Normal, with mean 0 and variance 1.
template <FloatingPoint T, class B = DefaultBackend>
Tensor<T, B> randn(const Shape& shape, Rng& rng) {
  return detail::drawn<T, B>(shape, [&] { return rng.normal(); });
}
/// Integers in [low, high), all as likely. Throws ShapeError if there are none, or if T does not hold them.
template <class T = std::int32_t, class B = DefaultBackend>
Tensor<T, B> randint(std::int64_t low, std::int64_t high, const Shape& shape, Rng& rng) {
  if (low >= high) {
    throw ShapeError("randint: low is " + std::to_string(low) + " and high is " + std::to_string(high) +
                     "; low must be less");
  }
  detail::check_holds<T>("randint", low);
  detail::check_holds<T>("randint", high - 1);
  const auto bound = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
  return detail::drawn<T, B>(
      shape, [&] { return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + rng.below(bound)); });
}
/// The integers in [0, count) in random order (Fisher & Yates 1938). Throws ShapeError for a negative count,
/// or if T does not hold them.
template <class T = std::int32_t, class B = DefaultBackend>
Tensor<T, B> randperm(std::int64_t count, Rng& rng) {
  detail::check_size("randperm", "count", count);
  if (count > 0) detail::check_holds<T>("randperm", count - 1);
  return detail::filled<T, B>({count}, [&](std::span<T> values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t j = rng.below(i + 1);
      values[i] = values[j];
      values[j] = static_cast<T>(i);
    }
  });
}

}  // namespace cria
