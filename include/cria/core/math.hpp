#pragma once
/// Elementary functions that vectorise: free of branches and library calls for float, the standard library
/// for double. Always inlined, since a call would keep the loop around it from being vectorised.

#include <bit>
#include <cmath>
#include <cstdint>

#include "cria/core/config.hpp"

namespace cria::math {

CRIA_HOST_DEVICE CRIA_INLINE double exp(double x) {
  return std::exp(x);
}

namespace detail {

/// Adding it to a float rounds that to an integer n and leaves n + 127, the exponent's bits of 2^n, in the
/// low bits.
inline constexpr float rounder = 12582912.0f + 127.0f;  // 1.5 * 2^23 + 127

/// e^x = mantissa * 2^n
struct Exponential {
  float mantissa;
  std::uint32_t exponent;  // n + 127 in the low bits
};

CRIA_HOST_DEVICE CRIA_INLINE Exponential exponential(float x) {
  // x = n log(2) + r with |r| <= log(2) / 2.
  const float shifted = x * 1.44269504f + rounder;
  const float n = shifted - rounder;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.3814583654e-3f;  // 1 + r + r^2 times the minimax polynomial of (e^r - 1 - r) / r^2
  p = p * r + 8.3687240258e-3f;
  p = p * r + 4.1668388993e-2f;
  p = p * r + 1.6666521132e-1f;
  p = p * r + 4.9999994040e-1f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return {p, std::bit_cast<std::uint32_t>(shifted)};
}

}  // namespace detail

/// e^x within 2 units in the last place; 0 below -87.3, infinity above 88.7, NaN for NaN.
CRIA_HOST_DEVICE CRIA_INLINE float exp(float x) {
#ifdef __CUDA_ARCH__
  return ::expf(x);
#else
  // 2^n in two factors, because n = 128 alone is no float.
  const detail::Exponential e = detail::exponential(x);
  const std::uint32_t n = e.exponent - std::bit_cast<std::uint32_t>(detail::rounder);
  const std::uint32_t half = static_cast<std::uint32_t>(static_cast<std::int32_t>(n) >> 1);
  const float scale_1 = std::bit_cast<float>((half + 127u) << 23);
  const float scale_2 = std::bit_cast<float>((n - half + 127u) << 23);
  const float result = e.mantissa * scale_1 * scale_2;
  return x < -87.3365448f ? 0.0f : x > 88.7228394f ? std::bit_cast<float>(0x7F800000u) : result;
#endif
}

CRIA_HOST_DEVICE CRIA_INLINE double exp_up_to_88(double x) {
  return std::exp(x);
}

/// e^x as above but only for x <= 88, in two thirds of the instructions: for softmax, whose exponents are not
/// positive.
CRIA_HOST_DEVICE CRIA_INLINE float exp_up_to_88(float x) {
#ifdef __CUDA_ARCH__
  return ::expf(x);
#else
  const detail::Exponential e = detail::exponential(x);
  const float result = e.mantissa * std::bit_cast<float>(e.exponent << 23);
  return x < -87.3365448f ? 0.0f : result;
#endif
}

CRIA_HOST_DEVICE CRIA_INLINE double exp2_up_to_127(double x) {
  return std::exp2(x);
}

/// 2^x within 2 units in the last place, for x <= 127; 0 below -125, NaN for NaN. Shorter than e^x, since the
/// base needs no reduction: for exponents that are multiplied by something anyway.
CRIA_HOST_DEVICE CRIA_INLINE float exp2_up_to_127(float x) {
#ifdef __CUDA_ARCH__
  return ::exp2f(x);
#else
  const float shifted = x + detail::rounder;
  const float r = x - (shifted - detail::rounder);  // |r| <= 1 / 2
  float p = 1.5345827382e-4f;                       // minimax polynomial of 2^r
  p = p * r + 1.339993079e-3f;
  p = p * r + 9.618488898e-3f;
  p = p * r + 5.5503287785e-2f;
  p = p * r + 2.4022646891e-1f;
  p = p * r + 6.9314720574e-1f;
  p = p * r + 1.0f;
  const float result = p * std::bit_cast<float>(std::bit_cast<std::uint32_t>(shifted) << 23);
  return x < -125.0f ? 0.0f : result;
#endif
}

/// 1 / (1 + e^-x); in float 0 below -88, where it is less than the smallest normal number.
CRIA_HOST_DEVICE CRIA_INLINE float sigmoid(float x) {
  const float result = 1.0f / (1.0f + exp_up_to_88(-x));
  return x < -88.0f ? 0.0f : result;
}
CRIA_HOST_DEVICE CRIA_INLINE double sigmoid(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}

}  // namespace cria::math
