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

/// x = n log(2) + r with |r| <= log(2) / 2.
struct Reduced {
  float r;
  float tail;              // (e^r - 1 - r) / r^2, by a minimax polynomial
  std::uint32_t exponent;  // n + 127 in the low bits
};

CRIA_HOST_DEVICE CRIA_INLINE Reduced reduced(float x) {
  const float shifted = x * 1.44269504f + rounder;
  const float n = shifted - rounder;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.3814583654e-3f;
  p = p * r + 8.3687240258e-3f;
  p = p * r + 4.1668388993e-2f;
  p = p * r + 1.6666521132e-1f;
  p = p * r + 4.9999994040e-1f;
  return {r, p, std::bit_cast<std::uint32_t>(shifted)};
}

/// e^x = mantissa * 2^n
struct Exponential {
  float mantissa;
  std::uint32_t exponent;  // n + 127 in the low bits
};

CRIA_HOST_DEVICE CRIA_INLINE Exponential exponential(float x) {
  const Reduced e = reduced(x);
  return {(e.tail * e.r + 1.0f) * e.r + 1.0f, e.exponent};
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

/// e^x - 1 within 2 units in the last place, also where x is small; -1 below -87.3, infinity above 88.7, NaN
/// for NaN.
CRIA_HOST_DEVICE CRIA_INLINE float expm1(float x) {
#ifdef __CUDA_ARCH__
  return ::expm1f(x);
#else
  const detail::Reduced e = detail::reduced(x);
  const float p = e.tail * e.r * e.r + e.r;  // e^r - 1
  // 2^n p + (2^n - 1), all halved, because 2^128 is no float.
  const float half = std::bit_cast<float>((e.exponent - 1u) << 23);
  const float result = 2.0f * (half * p + (half - 0.5f));
  return x < -87.3365448f ? -1.0f : x > 88.7228394f ? std::bit_cast<float>(0x7F800000u) : result;
#endif
}
CRIA_HOST_DEVICE CRIA_INLINE double expm1(double x) {
  return std::expm1(x);
}

/// The natural logarithm within a unit in the last place; -infinity for 0, NaN below.
CRIA_HOST_DEVICE CRIA_INLINE float log(float x) {
#ifdef __CUDA_ARCH__
  return ::logf(x);
#else
  // x = m 2^n with sqrt(1/2) <= m < sqrt(2); a subnormal x is scaled to a normal one before.
  const bool subnormal = x < 1.17549435e-38f;
  const auto bits = std::bit_cast<std::int32_t>(subnormal ? x * 8388608.0f : x);
  const std::int32_t from_root = bits - 0x3F3504F3;  // sqrt(1/2)
  const std::int32_t exponent = from_root >> 23;
  const float n = static_cast<float>(exponent - (subnormal ? 23 : 0));
  const float r = std::bit_cast<float>((from_root & 0x007FFFFF) + 0x3F3504F3) - 1.0f;
  const float square = r * r;
  float p = 7.0376836292e-2f;  // log(1 + r) = r - r^2 / 2 + r^3 times the minimax polynomial
  p = p * r - 1.1514610310e-1f;
  p = p * r + 1.1676998740e-1f;
  p = p * r - 1.2420140846e-1f;
  p = p * r + 1.4249322787e-1f;
  p = p * r - 1.6668057665e-1f;
  p = p * r + 2.0000714765e-1f;
  p = p * r - 2.4999993993e-1f;
  p = p * r + 3.3333331174e-1f;
  p = p * r * square;
  p = p + n * -2.12194440e-4f;
  p = p - 0.5f * square;
  const float result = r + p + n * 0.693359375f;
  constexpr float infinity = std::bit_cast<float>(0x7F800000u);
  return x > 0.0f ? (x < infinity ? result : x) : x == 0.0f ? -infinity : std::bit_cast<float>(0x7FC00000u);
#endif
}
CRIA_HOST_DEVICE CRIA_INLINE double log(double x) {
  return std::log(x);
}

/// log(1 + x) within 2 units in the last place, also where x is small; -infinity for -1, NaN below.
CRIA_HOST_DEVICE CRIA_INLINE float log1p(float x) {
#ifdef __CUDA_ARCH__
  return ::log1pf(x);
#else
  const float sum = 1.0f + x;
  const float lost = x - (sum - 1.0f);  // what rounding took from the sum
  const float result = log(sum);
  return sum > 0.0f && sum < 1e30f ? result + lost / sum : result;
#endif
}
CRIA_HOST_DEVICE CRIA_INLINE double log1p(double x) {
  return std::log1p(x);
}

/// The hyperbolic tangent within 3 units in the last place.
CRIA_HOST_DEVICE CRIA_INLINE float tanh(float x) {
#ifdef __CUDA_ARCH__
  return ::tanhf(x);
#else
  const float limited = x > 10.0f ? 10.0f : x < -10.0f ? -10.0f : x;  // where it is 1
  const float e = expm1(2.0f * limited);
  return e / (e + 2.0f);
#endif
}
CRIA_HOST_DEVICE CRIA_INLINE double tanh(double x) {
  return std::tanh(x);
}

/// The error function within 2 units in the last place. Coefficients: N. Juffa, 2016.
CRIA_HOST_DEVICE CRIA_INLINE float erf(float x) {
#ifdef __CUDA_ARCH__
  return ::erff(x);
#else
  const float square = x * x;
  float p = -5.96761703e-4f;  // of small x: a polynomial
  p = p * square + 4.99119423e-3f;
  p = p * square - 2.67681349e-2f;
  p = p * square + 1.12819925e-1f;
  p = p * square - 3.76125336e-1f;
  p = p * square + 1.28379166e-1f;
  const float small = p * x + x;
  const float t = x < 0.0f ? -x : x;  // of others: 1 - e^q
  float q = -1.72853470e-5f;
  q = q * t + 3.83197126e-4f;
  q = q * t - 3.88396438e-3f;
  q = q * t + 2.42546219e-2f;
  q = q * t - 1.06777877e-1f;
  q = q * t - 6.34846687e-1f;
  q = q * t - 1.28717512e-1f;
  q = q * t - t;
  const float large = 1.0f - exp_up_to_88(t < 4.0f ? q : -88.0f);
  return t > 0.927734375f ? (x < 0.0f ? -large : large) : small;
#endif
}
CRIA_HOST_DEVICE CRIA_INLINE double erf(double x) {
  return std::erf(x);
}

}  // namespace cria::math
