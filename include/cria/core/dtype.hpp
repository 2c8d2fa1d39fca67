#pragma once
/// The element types: float, double, cria's own 16-bit floating-point types, which carry gradients, and
/// integers, which do not.

#include <bit>
#include <compare>
#include <cstdint>
#include <iosfwd>
#include <limits>
#include <string_view>
#include <type_traits>

#include "cria/core/config.hpp"

namespace cria {

/// bfloat16: 1 sign, 8 exponent and 7 fraction bits; the upper half of a float. Rounds to nearest even, keeps
/// NaN.
struct CRIA_SHARED bfloat16 {
  std::uint16_t bits = 0;

  bfloat16() = default;
  CRIA_HOST_DEVICE CRIA_INLINE constexpr explicit bfloat16(float value) : bits(encode(value)) {}
  CRIA_HOST_DEVICE CRIA_INLINE constexpr explicit operator float() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
  /// From and to every other arithmetic type, by way of float: what float cannot hold is rounded twice.
  template <class N>
  requires std::is_arithmetic_v<N> CRIA_HOST_DEVICE CRIA_INLINE constexpr explicit bfloat16(N value)
      : bfloat16(static_cast<float>(value)) {}
  template <class N>
  requires std::is_arithmetic_v<N> CRIA_HOST_DEVICE CRIA_INLINE constexpr explicit operator N() const {
    return static_cast<N>(static_cast<float>(*this));
  }
  CRIA_HOST_DEVICE CRIA_INLINE static constexpr bfloat16 from_bits(std::uint16_t bits) {
    bfloat16 value;
    value.bits = bits;
    return value;
  }

 private:
  CRIA_HOST_DEVICE CRIA_INLINE static constexpr std::uint16_t encode(float value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    if (!std::is_constant_evaluated()) {  // a GPU has an instruction for it
      std::uint16_t rounded_by_device;
      asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(rounded_by_device) : "f"(value));
      return rounded_by_device;
    }
#endif
    const auto x = std::bit_cast<std::uint32_t>(value);
    const bool nan = (x & 0x7FFFFFFFu) > 0x7F800000u;
    const std::uint32_t rounded = (x + 0x7FFFu + (x >> 16 & 1u)) >> 16;
    return static_cast<std::uint16_t>(nan ? (x >> 16 | 0x40u) : rounded);
  }
};

/// float16 (IEEE 754 binary16): 1 sign, 5 exponent and 10 fraction bits. Rounds to nearest even, overflows to
/// infinity, keeps subnormals and NaN.
struct CRIA_SHARED float16 {
  std::uint16_t bits = 0;

  float16() = default;
  CRIA_HOST_DEVICE CRIA_INLINE constexpr explicit float16(float value) : bits(encode(value)) {}
  CRIA_HOST_DEVICE CRIA_INLINE constexpr explicit operator float() const { return decode(bits); }
  /// From and to every other arithmetic type, by way of float: what float cannot hold is rounded twice.
  template <class N>
  requires std::is_arithmetic_v<N> CRIA_HOST_DEVICE CRIA_INLINE constexpr explicit float16(N value)
      : float16(static_cast<float>(value)) {}
  template <class N>
  requires std::is_arithmetic_v<N> CRIA_HOST_DEVICE CRIA_INLINE constexpr explicit operator N() const {
    return static_cast<N>(static_cast<float>(*this));
  }
  CRIA_HOST_DEVICE CRIA_INLINE static constexpr float16 from_bits(std::uint16_t bits) {
    float16 value;
    value.bits = bits;
    return value;
  }

 private:
  // Both directions are free of branches, so that loops over arrays vectorise.
  CRIA_HOST_DEVICE CRIA_INLINE static constexpr std::uint16_t encode(float value) {
#ifdef __CUDA_ARCH__
    if (!std::is_constant_evaluated()) {
      std::uint16_t rounded_by_device;
      asm("cvt.rn.f16.f32 %0, %1;" : "=h"(rounded_by_device) : "f"(value));
      return rounded_by_device;
    }
#endif
    const auto x = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = x >> 16 & 0x8000u;
    const std::uint32_t magnitude = x & 0x7FFFFFFFu;
    // Normal numbers: move the exponent from bias 127 to 15, round the 13 dropped bits.
    const std::uint32_t normal = (magnitude - (112u << 23) + 0xFFFu + (magnitude >> 13 & 1u)) >> 13;
    // Subnormal numbers: adding 0.5 lines the fraction up with its last bit; the adder rounds.
    const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) -
                                    std::bit_cast<std::uint32_t>(0.5f);
    const std::uint32_t finite = magnitude < (113u << 23) ? subnormal : normal;
    const std::uint32_t large = magnitude > 0x7F800000u ? 0x7E00u | (magnitude >> 13 & 0x3FFu) : 0x7C00u;
    return static_cast<std::uint16_t>(sign | (magnitude < (143u << 23) ? finite : large));
  }
  CRIA_HOST_DEVICE CRIA_INLINE static constexpr float decode(std::uint16_t h) {
#ifdef __CUDA_ARCH__
    if (!std::is_constant_evaluated()) {
      float value_of_device;
      asm("cvt.f32.f16 %0, %1;" : "=f"(value_of_device) : "h"(h));
      return value_of_device;
    }
#endif
    const std::uint32_t sign = (h & 0x8000u) << 16;
    const std::uint32_t magnitude = h & 0x7FFFu;
    const std::uint32_t normal = (magnitude << 13) + (112u << 23);
    const std::uint32_t special = (magnitude << 13) | 0x7F800000u;
    const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(static_cast<float>(magnitude) * 0x1p-24f);
    const std::uint32_t value = magnitude < 0x400u ? subnormal : magnitude < 0x7C00u ? normal : special;
    return std::bit_cast<float>(sign | value);
  }
};

namespace detail {
template <class T>
concept SixteenBits = std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>;
}  // namespace detail

/// By their values: NaN is neither equal to anything nor less or greater. Arithmetic is done in float.
template <detail::SixteenBits T>
CRIA_HOST_DEVICE constexpr bool operator==(T a, T b) {
  return static_cast<float>(a) == static_cast<float>(b);
}
template <detail::SixteenBits T>
CRIA_HOST_DEVICE constexpr std::partial_ordering operator<=>(T a, T b) {
  return static_cast<float>(a) <=> static_cast<float>(b);
}
template <class Character, class Traits, detail::SixteenBits T>
std::basic_ostream<Character, Traits>& operator<<(std::basic_ostream<Character, Traits>& out, T value) {
  return out << static_cast<float>(value);
}

namespace detail {
template <class T>
struct accumulator {
  using type = T;
};
template <>
struct accumulator<bfloat16> {
  using type = float;
};
template <>
struct accumulator<float16> {
  using type = float;
};
}  // namespace detail

/// The type that sums and intermediate results of T are kept in: float for the 16-bit types, else T itself.
template <class T>
using acc_t = typename detail::accumulator<T>::type;

/// The element types that carry gradients.
template <class T>
concept FloatingPoint = std::is_same_v<T, float> || std::is_same_v<T, double> ||
    std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>;

/// The element types that one can calculate with: those, and integers.
template <class T>
concept Number = FloatingPoint<T> ||(std::is_integral_v<T> && !std::is_same_v<T, bool>);

/// "float32", "float64", "bfloat16", "float16", "int8", "int16", "int32", "int64", "uint8"; empty for other
/// types, which cannot be saved.
template <class T>
inline constexpr std::string_view dtype_name = "";
template <>
inline constexpr std::string_view dtype_name<float> = "float32";
template <>
inline constexpr std::string_view dtype_name<double> = "float64";
template <>
inline constexpr std::string_view dtype_name<bfloat16> = "bfloat16";
template <>
inline constexpr std::string_view dtype_name<float16> = "float16";
template <>
inline constexpr std::string_view dtype_name<std::int8_t> = "int8";
template <>
inline constexpr std::string_view dtype_name<std::int16_t> = "int16";
template <>
inline constexpr std::string_view dtype_name<std::int32_t> = "int32";
template <>
inline constexpr std::string_view dtype_name<std::int64_t> = "int64";
template <>
inline constexpr std::string_view dtype_name<std::uint8_t> = "uint8";

}  // namespace cria

namespace cria::detail {
/// The limits of a 16-bit type with `fraction` bits after the point and its greatest number's exponent
/// `exponent`.
template <class T, int fraction, int exponent>
struct SixteenBitLimits {
  static constexpr bool is_specialized = true, is_signed = true, is_integer = false, is_exact = false;
  static constexpr bool has_infinity = true, has_quiet_NaN = true, has_signaling_NaN = false;
  static constexpr bool is_iec559 = true, is_bounded = true, is_modulo = false, traps = false;
  static constexpr bool tinyness_before = false;
  static constexpr std::float_round_style round_style = std::round_to_nearest;
  static constexpr int digits = fraction + 1, digits10 = (digits - 1) * 30103 / 100000;
  static constexpr int max_digits10 = digits * 30103 / 100000 + 2, radix = 2;
  static constexpr int max_exponent = exponent + 1, min_exponent = 2 - exponent;
  static constexpr int max_exponent10 = exponent * 30103 / 100000,
                       min_exponent10 = -(exponent - 1) * 30103 / 100000;

  static constexpr T of(unsigned sign, unsigned exponent_bits, unsigned fraction_bits) {
    return T::from_bits(static_cast<std::uint16_t>(sign << 15 | exponent_bits << fraction | fraction_bits));
  }
  static constexpr T max() noexcept { return of(0, 2 * exponent, (1u << fraction) - 1); }
  static constexpr T lowest() noexcept { return of(1, 2 * exponent, (1u << fraction) - 1); }
  static constexpr T min() noexcept { return of(0, 1, 0); }
  static constexpr T denorm_min() noexcept { return of(0, 0, 1); }
  static constexpr T epsilon() noexcept { return of(0, static_cast<unsigned>(exponent - fraction), 0); }
  static constexpr T round_error() noexcept { return T(0.5f); }
  static constexpr T infinity() noexcept { return of(0, 2 * exponent + 1, 0); }
  static constexpr T quiet_NaN() noexcept { return of(0, 2 * exponent + 1, 1u << (fraction - 1)); }
};
}  // namespace cria::detail

template <>
struct std::numeric_limits<cria::bfloat16> : cria::detail::SixteenBitLimits<cria::bfloat16, 7, 127> {};
template <>
struct std::numeric_limits<cria::float16> : cria::detail::SixteenBitLimits<cria::float16, 10, 15> {};
