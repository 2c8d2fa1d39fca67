#pragma once
/// Arrays as they lie in files, whatever the format, and how they become tensors.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "cria/backend/cpu/cpu.hpp"
#include "cria/core/dtype.hpp"
#include "cria/core/error.hpp"
#include "cria/core/shape.hpp"
#include "cria/core/tensor.hpp"

namespace cria::io {

/// An array in a file, row-major; the bytes belong to somebody else and may lie at any address.
struct ArrayView {
  std::string_view dtype;  // that of dtype_name, or "bool", "uint16", "uint32", "uint64"
  Shape shape;
  std::span<const std::byte> bytes;
  std::endian order = std::endian::little;
};

namespace detail {

/// The C++ type of a dtype and its name.
template <class T>
struct ElementType {
  using type = T;
  std::string_view name = dtype_name<T>;
};

/// Calls f(ElementType) for the type of that name; none if it is unknown.
template <class F>
void with_element_type(std::string_view dtype, F f) {
  const auto call = [&](const auto&... type) { ((dtype == type.name ? f(type) : void()), ...); };
  call(ElementType<float>{}, ElementType<double>{}, ElementType<bfloat16>{}, ElementType<float16>{},
       ElementType<std::int8_t>{}, ElementType<std::int16_t>{}, ElementType<std::int32_t>{},
       ElementType<std::int64_t>{}, ElementType<std::uint8_t>{}, ElementType<std::uint16_t>{"uint16"},
       ElementType<std::uint32_t>{"uint32"}, ElementType<std::uint64_t>{"uint64"}, ElementType<bool>{"bool"});
}

/// Bytes of an element; 0 if the dtype is unknown.
inline std::size_t element_size(std::string_view dtype) {
  std::size_t size = 0;
  with_element_type(
      dtype, [&](const auto& type) { size = sizeof(typename std::remove_cvref_t<decltype(type)>::type); });
  return size;
}

/// The element of type T at `bytes`.
template <class T>
T load_element(const std::byte* bytes, std::endian order) {
  // A byte that is neither 0 nor 1 is no bool.
  using Stored = std::conditional_t<std::is_same_v<T, bool>, std::uint8_t, T>;
  std::byte copy[sizeof(Stored)];
  std::copy_n(bytes, sizeof(Stored), copy);
  if (order != std::endian::native) std::reverse(copy, copy + sizeof(Stored));
  Stored value;
  std::memcpy(&value, copy, sizeof(Stored));
  return static_cast<T>(value);
}

/// Whether tensors of T take elements of type From.
template <class T, class From>
inline constexpr bool takes =
    std::is_same_v<T, bool> ? std::is_same_v<From, bool> : FloatingPoint<T> || std::is_integral_v<From>;

/// The element as a T. Throws FileError for an integer that T does not hold.
template <class T, class From>
T converted(From value, std::size_t index, const std::string& path) {
  if constexpr (std::is_integral_v<T> && !std::is_same_v<From, bool>) {
    if (!std::in_range<T>(value)) {
      throw FileError(path, "element " + std::to_string(index) + " is " + std::to_string(value) +
                                ", which a tensor of " + std::string(dtype_name<T>) + " does not hold");
    }
  }
  return static_cast<T>(static_cast<acc_t<From>>(value));
}

}  // namespace detail

/// The array as a tensor of T. Numbers are rounded to a floating-point T; an integer T takes integers that it
/// holds, and bool takes bool. Throws FileError, about `path`, for elements that T does not take, and if the
/// bytes are not those of the shape.
template <class T>
Tensor<T, Cpu> to_tensor(const ArrayView& array, const std::string& path) {
  static_assert(!dtype_name<T>.empty() || std::is_same_v<T, bool>, "no file has elements of this type");
  const auto count = static_cast<std::size_t>(array.shape.size());
  const std::size_t size = detail::element_size(array.dtype);
  if (size == 0)
    throw FileError(path, "its elements are " + std::string(array.dtype) + ", which no tensor has");
  if (array.bytes.size() != count * size) {
    throw FileError(path, "has " + std::to_string(array.bytes.size()) + " bytes of data, but " +
                              to_string(array.shape) + " of " + std::string(array.dtype) + " needs " +
                              std::to_string(count * size));
  }
  auto tensor = Tensor<T, Cpu>::empty(array.shape);
  T* const to = tensor.mutable_vec().data;
  detail::with_element_type(array.dtype, [&](const auto& type) {
    using From = typename std::remove_cvref_t<decltype(type)>::type;
    if constexpr (!detail::takes<T, From>) {
      throw FileError(path, "its elements are " + std::string(array.dtype) + "; a tensor of " +
                                (std::is_same_v<T, bool> ? "bool takes bool"
                                                         : std::string(dtype_name<T>) + " takes integers"));
    } else if (std::is_same_v<T, From> && !std::is_same_v<T, bool> && array.order == std::endian::native) {
      std::copy_n(array.bytes.data(), array.bytes.size(), reinterpret_cast<std::byte*>(to));
    } else {
      for (std::size_t i = 0; i < count; ++i) {
        const std::byte* const from = array.bytes.data() + i * sizeof(From);
        to[i] = detail::converted<T>(detail::load_element<From>(from, array.order), i, path);
      }
    }
  });
  return tensor;
}

}  // namespace cria::io
