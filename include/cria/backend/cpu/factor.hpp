#pragma once
/// What small products multiply: numbers, or pairs of bfloat16 where the processor multiplies two of them and
/// adds both products at once.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cria/backend/cpu/convert.hpp"
#include "cria/backend/cpu/lanes.hpp"
#include "cria/core/dtype.hpp"

namespace cria::cpu {

#ifdef __AVX512BF16__
/// Two bfloat16 that are neighbours in the direction that a product sums over, the first in the lower half.
struct [[gnu::may_alias]] BfloatPair {
  std::uint32_t bits;
};
#endif

namespace detail {

template <class T>
struct factor {
  using type = acc_t<T>;
};
template <class F>
struct factor_sum {
  using type = F;
};
#ifdef __AVX512BF16__
template <>
struct factor<bfloat16> {
  using type = BfloatPair;
};
template <>
struct factor_sum<BfloatPair> {
  using type = float;
};
#endif

}  // namespace detail

/// What numbers of T are multiplied as: pairs, or single numbers of acc_t<T>.
template <class T>
using factor_t = typename detail::factor<T>::type;

/// What products of factors are summed in.
template <class F>
using sum_t = typename detail::factor_sum<F>::type;

/// How many numbers a factor holds.
template <class F>
inline constexpr std::int64_t numbers_in = std::is_same_v<F, sum_t<F>> ? 1 : 2;

/// How many factors hold `size` numbers.
template <class F>
constexpr std::int64_t factors_for(std::int64_t size) {
  return (size + numbers_in<F> - 1) / numbers_in<F>;
}

/// sum + a b in each lane.
template <class A>
Lanes<A> multiply_add(A a, const A* b, Lanes<A> sum) {
  return sum + a * load_lanes(b);
}

/// The same with a lane of a for each lane of b.
template <class A>
Lanes<A> multiply_add(Lanes<A> a, const A* b, Lanes<A> sum) {
  return sum + a * load_lanes(b);
}

/// Parts of `size` numbers, one after the other, as factors that join neighbours in a part.
template <class T, class A>
void join_neighbours(const T* from, std::int64_t parts, std::int64_t size, A* to) {
  convert_range(from, to, parts * size);
}

/// The same factors of one part where they lie, or null if its numbers are no factors there.
template <class F, class T>
const F* neighbours_in_place([[maybe_unused]] const T* from, [[maybe_unused]] std::int64_t size) {
  if constexpr (std::is_same_v<F, T>) {
    return from;
  } else if constexpr (numbers_in<F> == 2) {
    return size % 2 == 0 ? reinterpret_cast<const F*>(from) : nullptr;
  } else {
    return nullptr;
  }
}

/// to[i] joins upper[i] and lower[i], or 0 where there is no lower row; upper[i] alone if factors are
/// numbers.
template <class T, class A>
void join_rows(const T* upper, const T*, std::int64_t size, A* to) {
  convert_range(upper, to, size);
}

/// Rows [rows, width] of sums as factors that join neighbours in a row: in `memory`, or where they are if
/// factors are numbers.
template <class A>
const A* rows_as_factors(const A* from, std::int64_t, std::int64_t, A*) {
  return from;
}

/// The same rows as factors that join a number with the one in the next row.
template <class A>
const A* columns_as_factors(const A* from, std::int64_t, std::int64_t, A*) {
  return from;
}

#ifdef __AVX512BF16__
inline Lanes<float> multiply_add(Lanes<BfloatPair> a, const BfloatPair* b, Lanes<float> sum) {
  return std::bit_cast<Lanes<float>>(_mm512_dpbf16_ps(std::bit_cast<__m512>(sum), std::bit_cast<__m512bh>(a),
                                                      std::bit_cast<__m512bh>(_mm512_loadu_si512(b))));
}
inline Lanes<float> multiply_add(BfloatPair a, const BfloatPair* b, Lanes<float> sum) {
  return multiply_add(std::bit_cast<Lanes<BfloatPair>>(_mm512_set1_epi32(static_cast<int>(a.bits))), b, sum);
}

/// The last number of a part of odd size is joined with 0.
inline void join_neighbours(const bfloat16* from, std::int64_t parts, std::int64_t size, BfloatPair* to) {
  for (std::int64_t part = 0; part < parts; ++part, from += size, to += factors_for<BfloatPair>(size)) {
    std::memcpy(to, from, static_cast<std::size_t>(size) * sizeof(bfloat16));
    if (size % 2 == 1) to[size / 2].bits = from[size - 1].bits;
  }
}

inline void join_rows(const bfloat16* upper, const bfloat16* lower, std::int64_t size, BfloatPair* to) {
  for (std::int64_t i = 0; i < size; i += 16) {
    const auto here = static_cast<__mmask16>(size - i < 16 ? (1 << (size - i)) - 1 : 0xFFFF);
    const auto load = [&](const bfloat16* row) {
      return row ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(here, row + i)) : _mm512_setzero_si512();
    };
    _mm512_mask_storeu_epi32(to + i, here, _mm512_or_si512(load(upper), _mm512_slli_epi32(load(lower), 16)));
  }
}

// `width` is a multiple of 32 here. Subnormal sums become 0, which such factors are taken for anyway.
inline const BfloatPair* rows_as_factors(const float* from, std::int64_t rows, std::int64_t width,
                                         BfloatPair* memory) {
  for (std::int64_t i = 0; i < rows * width; i += 32) {
    const __m512bh both = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + i + 16), _mm512_loadu_ps(from + i));
    _mm512_storeu_si512(memory + i / 2, std::bit_cast<__m512i>(both));
  }
  return memory;
}

inline const BfloatPair* columns_as_factors(const float* from, std::int64_t rows, std::int64_t width,
                                            BfloatPair* memory) {
  alignas(64) static constexpr auto order = [] {  // 0, 16, 1, 17, ...
    std::array<std::uint16_t, 32> lanes{};
    for (std::size_t i = 0; i < 32; ++i) lanes[i] = static_cast<std::uint16_t>(i / 2 + i % 2 * 16);
    return lanes;
  }();
  const __m512i interleaved = _mm512_load_si512(order.data());
  for (std::int64_t row = 0; row < rows; row += 2) {
    const float* upper = from + row * width;
    for (std::int64_t i = 0; i < width; i += 16) {
      const __m512bh both =
          _mm512_cvtne2ps_pbh(_mm512_loadu_ps(upper + width + i), _mm512_loadu_ps(upper + i));
      _mm512_storeu_si512(memory + row / 2 * width + i,
                          _mm512_permutexvar_epi16(interleaved, std::bit_cast<__m512i>(both)));
    }
  }
  return memory;
}
#endif

}  // namespace cria::cpu
