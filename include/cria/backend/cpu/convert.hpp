#pragma once
/// Arrays from one dtype to another.

#include <algorithm>
#include <bit>
#include <cstdint>

#include "cria/backend/cpu/parallel.hpp"
#include "cria/core/dtype.hpp"
#include "cria/core/view.hpp"

#if defined(__F16C__) || defined(__AVX512BF16__)
#include <immintrin.h>
#endif

namespace cria::cpu {

/// to[i] = from[i] on one thread; the compiler's vector code.
template <class From, class To>
void convert_portably(const From* from, To* to, std::int64_t size) {
  const auto converted = [](From value) {
    return static_cast<To>(static_cast<acc_t<To>>(static_cast<acc_t<From>>(value)));
  };
  if constexpr (std::is_same_v<To, acc_t<To>>) {
    CRIA_SIMD
    for (std::int64_t i = 0; i < size; ++i) to[i] = converted(from[i]);
  } else {
    // By its only member: GCC 12 does not vectorise the assignment of a struct.
    CRIA_SIMD
    for (std::int64_t i = 0; i < size; ++i) to[i].bits = converted(from[i]).bits;
  }
}

template <class From, class To>
void convert_range(const From* from, To* to, std::int64_t size) {
  if constexpr (std::is_same_v<From, To>) {
    std::copy_n(from, size, to);
  } else {
    convert_portably(from, to, size);
  }
}

#ifdef __F16C__
// The processor converts 8 halves at once, four times as fast as the portable code's integer arithmetic.
inline void convert_range(const float16* from, float* to, std::int64_t size) {
  std::int64_t i = 0;
  for (; i + 8 <= size; i += 8) {
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))));
  }
  convert_portably(from + i, to + i, size - i);
}

inline void convert_range(const float* from, float16* to, std::int64_t size) {
  std::int64_t i = 0;
  for (; i + 8 <= size; i += 8) {
    _mm_storeu_si128(
        reinterpret_cast<__m128i*>(to + i),
        _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  convert_portably(from + i, to + i, size - i);
}
#endif

#ifdef __AVX512BF16__
// The processor rounds 32 numbers at once, in a third of the portable code's instructions, but takes
// subnormal floats for zero: where there are any, the portable code rounds them.
inline void convert_range(const float* from, bfloat16* to, std::int64_t size) {
  constexpr int subnormal = 0x20;
  std::int64_t i = 0;
  for (; i + 32 <= size; i += 32) {
    const __m512 low = _mm512_loadu_ps(from + i), high = _mm512_loadu_ps(from + i + 16);
    if (_mm512_fpclass_ps_mask(low, subnormal) | _mm512_fpclass_ps_mask(high, subnormal)) {
      convert_portably(from + i, to + i, 32);
      continue;
    }
    _mm512_storeu_si512(to + i, std::bit_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
  }
  convert_portably(from + i, to + i, size - i);
}
#endif

/// to[i] = from[i], rounded to nearest even.
template <class From, class To>
void convert(Vec<const From> from, Vec<To> to) {
  parallel_for_elements(to.size, 65536, [=](std::int64_t begin, std::int64_t end) {
    convert_range(from.data + begin, to.data + begin, end - begin);
  });
}

}  // namespace cria::cpu
