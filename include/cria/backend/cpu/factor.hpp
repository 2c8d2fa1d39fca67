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

/// What numbers of T are multiplied as, factors: pairs, or single numbers of acc_t<T>.
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
template <class F>
CRIA_INLINE Lanes<sum_t<F>> multiply_add(Lanes<F> a, Lanes<F> b, Lanes<sum_t<F>> sum) {
#ifdef __AVX512BF16__
  if constexpr (std::is_same_v<F, BfloatPair>) {
    return std::bit_cast<Lanes<float>>(
        _mm512_dpbf16_ps(std::bit_cast<__m512>(sum), std::bit_cast<__m512bh>(a), std::bit_cast<__m512bh>(b)));
  } else
#endif
    return sum + a * b;
}

/// The same with one a for all lanes, and b from memory.
template <class F>
CRIA_INLINE Lanes<sum_t<F>> multiply_add(F a, const F* b, Lanes<sum_t<F>> sum) {
#ifdef __AVX512BF16__
  if constexpr (std::is_same_v<F, BfloatPair>) {
    return multiply_add<F>(std::bit_cast<Lanes<F>>(_mm512_set1_epi32(static_cast<int>(a.bits))),
                           load_lanes(b), sum);
  } else
#endif
    return sum + a * load_lanes(b);
}

/// A register of factors from a row of numbers.
template <class F, class T>
CRIA_INLINE Lanes<F> load_factors(const T* from) {
  Lanes<F> factors;
  if constexpr (std::is_same_v<F, T> || numbers_in<F> == 2) {
    std::memcpy(&factors, from, register_bytes);
  } else if constexpr (std::is_same_v<T, bfloat16>) {  // the upper half of a float
    typedef std::uint16_t Halves __attribute__((vector_size(register_bytes / 2)));
    Halves bits;
    std::memcpy(&bits, from, sizeof(bits));
    factors = std::bit_cast<Lanes<F>>(__builtin_convertvector(bits, Lanes<std::uint32_t>) << 16);
  } else {
#if defined(__AVX512F__)
    factors =
        std::bit_cast<Lanes<F>>(_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))));
#elif defined(__F16C__)
    factors =
        std::bit_cast<Lanes<F>>(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
#else
    for (std::int64_t i = 0; i < lane_count<F>; ++i) factors[i] = static_cast<F>(from[i]);
#endif
  }
  return factors;
}

/// Brings numbers into the form of factors. Along rows means that a factor holds neighbours in a row, down
/// columns that it holds a number and the one below it; factors that are numbers are the same either way, and
/// stay where they are if they can.
template <class F>
struct Packing {
  /// from [rows, width] -> to [rows, factors_for<F>(width)]. The last number of an odd row is packed with 0.
  template <class T>
  static void along_rows(const T* from, std::int64_t rows, std::int64_t width, F* to) {
    convert_range(from, to, rows * width);
  }

  /// from [.., width], rows `stride` apart, as such factors where it lies, or null if it has to be packed.
  template <class T>
  static const F* along_rows_in_place([[maybe_unused]] const T* from, [[maybe_unused]] std::int64_t width,
                                      [[maybe_unused]] std::int64_t stride) {
    if constexpr (std::is_same_v<F, T>) {
      return from;
    } else {
      return nullptr;
    }
  }

  /// Two rows upper and lower [width] -> to [width]. Where there is no lower row (null) it counts as zeros.
  template <class T>
  CRIA_INLINE static void down_columns(const T* upper, [[maybe_unused]] const T* lower, std::int64_t width,
                                       F* to) {
    if constexpr (std::is_same_v<F, T>) {
      std::memcpy(to, upper, static_cast<std::size_t>(width) * sizeof(F));  // no call where width is known
    } else {
      convert_range(upper, to, width);
    }
  }

  /// sums [rows, width] -> [rows, width / numbers_in<F>], in `memory` or where they are. width is a multiple
  /// of 32.
  static const F* sums_along_rows(const sum_t<F>* sums, [[maybe_unused]] std::int64_t rows,
                                  [[maybe_unused]] std::int64_t width, [[maybe_unused]] F* memory) {
    return sums;
  }

  /// sums [rows, width] -> [rows / numbers_in<F>, width], in `memory` or where they are. rows is a multiple
  /// of numbers_in<F> and width one of lane_count<F>.
  static const F* sums_down_columns(const sum_t<F>* sums, [[maybe_unused]] std::int64_t rows,
                                    [[maybe_unused]] std::int64_t width, [[maybe_unused]] F* memory) {
    return sums;
  }
};

#ifdef __AVX512BF16__
namespace detail {
/// 0, distance, 1, distance + 1, ...: the order that makes pairs of what lies so far apart.
constexpr std::array<std::uint16_t, 32> in_turns(std::size_t distance) {
  std::array<std::uint16_t, 32> lanes{};
  for (std::size_t i = 0; i < 32; ++i) lanes[i] = static_cast<std::uint16_t>(i / 2 + i % 2 * distance);
  return lanes;
}
}  // namespace detail

/// Sums are rounded to bfloat16; subnormal ones become 0, which such factors are taken for anyway.
template <>
struct Packing<BfloatPair> {
  static void along_rows(const bfloat16* from, std::int64_t rows, std::int64_t width, BfloatPair* to) {
    for (std::int64_t row = 0; row < rows; ++row, from += width, to += factors_for<BfloatPair>(width)) {
      std::memcpy(to, from, static_cast<std::size_t>(width) * sizeof(bfloat16));
      if (width % 2 == 1) to[width / 2].bits = from[width - 1].bits;
    }
  }

  static const BfloatPair* along_rows_in_place(const bfloat16* from, std::int64_t width,
                                               std::int64_t stride) {
    const bool whole_pairs = width % 2 == 0 && stride % 2 == 0;
    const bool aligned = reinterpret_cast<std::uintptr_t>(from) % alignof(BfloatPair) == 0;
    return whole_pairs && aligned ? reinterpret_cast<const BfloatPair*>(from) : nullptr;
  }

  CRIA_INLINE static void down_columns(const bfloat16* upper, const bfloat16* lower, std::int64_t width,
                                       BfloatPair* to) {
    alignas(64) static constexpr auto order = detail::in_turns(32);
    const __m512i interleaved = _mm512_load_si512(order.data());
    for (std::int64_t i = 0; i < width; i += 16) {
      const auto here = static_cast<__mmask16>(width - i < 16 ? (1 << (width - i)) - 1 : 0xFFFF);
      const auto load = [&](const bfloat16* row) {
        return _mm512_castsi256_si512(row ? _mm256_maskz_loadu_epi16(here, row + i) : _mm256_setzero_si256());
      };
      _mm512_mask_storeu_epi32(to + i, here,
                               _mm512_permutex2var_epi16(load(upper), interleaved, load(lower)));
    }
  }

  static const BfloatPair* sums_along_rows(const float* sums, std::int64_t rows, std::int64_t width,
                                           BfloatPair* memory) {
    for (std::int64_t i = 0; i < rows * width; i += 32) {
      const __m512bh both = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(sums + i + 16), _mm512_loadu_ps(sums + i));
      _mm512_storeu_si512(memory + i / 2, std::bit_cast<__m512i>(both));
    }
    return memory;
  }

  static const BfloatPair* sums_down_columns(const float* sums, std::int64_t rows, std::int64_t width,
                                             BfloatPair* memory) {
    alignas(64) static constexpr auto order = detail::in_turns(16);
    const __m512i interleaved = _mm512_load_si512(order.data());
    for (std::int64_t row = 0; row < rows; row += 2) {
      const float* upper = sums + row * width;
      for (std::int64_t i = 0; i < width; i += 16) {
        const __m512bh both =
            _mm512_cvtne2ps_pbh(_mm512_loadu_ps(upper + width + i), _mm512_loadu_ps(upper + i));
        _mm512_storeu_si512(memory + row / 2 * width + i,
                            _mm512_permutexvar_epi16(interleaved, std::bit_cast<__m512i>(both)));
      }
    }
    return memory;
  }
};
#endif

}  // namespace cria::cpu
