#pragma once
/// Products of a few rows with a matrix that is summed along its rows, as one position of a text is with all
/// weights: every number of the matrix is read once, where it lies, at the speed of memory.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cria/backend/cpu/convert.hpp"
#include "cria/backend/cpu/factor.hpp"
#include "cria/backend/cpu/lanes.hpp"
#include "cria/core/view.hpp"

namespace cria::cpu {

/// Rows up to which this is faster than tiles.
inline constexpr std::int64_t few_rows = 4;

namespace detail {

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

/// The sum of a register's numbers, by halves.
template <class A>
A sum_of_lanes(Lanes<A> x) {
  const auto add = [&]<int Count>(auto self, std::integral_constant<int, Count>) {
    if constexpr (Count > 1) {
      x += cpu::rotated<Count / 2, A>(x);
      self(self, std::integral_constant<int, Count / 2>());
    }
  };
  add(add, std::integral_constant<int, static_cast<int>(lane_count<A>)>());
  return x[0];
}

/// sum[i][j] = sum over k of a[i, k] b[j, k].
template <int Height, int Width, class T>
void multiply_rows(Rows<const T> a, Rows<const T> b, acc_t<T> (&sum)[Height][Width]) {
  using F = factor_t<T>;
  using A = acc_t<T>;
  constexpr std::int64_t numbers = lane_count<F> * numbers_in<F>;
  Lanes<A> sums[Height][Width] = {};
  std::int64_t k = 0;
  for (; k + numbers <= a.cols; k += numbers) {
    Lanes<F> left[Height];
#pragma GCC unroll 4
    for (int i = 0; i < Height; ++i) left[i] = load_factors<F>(a.row(i) + k);
#pragma GCC unroll 4
    for (int j = 0; j < Width; ++j) {
      const Lanes<F> right = load_factors<F>(b.row(j) + k);
#pragma GCC unroll 4
      for (int i = 0; i < Height; ++i) sums[i][j] = multiply_add<F>(left[i], right, sums[i][j]);
    }
  }
  for (int i = 0; i < Height; ++i) {
    for (int j = 0; j < Width; ++j) {
      sum[i][j] = sum_of_lanes<A>(sums[i][j]);
      for (std::int64_t rest = k; rest < a.cols; ++rest) {
        sum[i][j] += static_cast<A>(a.row(i)[rest]) * static_cast<A>(b.row(j)[rest]);
      }
    }
  }
}

}  // namespace detail

/// c[i, j] (+)= sum over k of a[i, k] b[j, k], for at most few_rows rows i; c(i, j) = c.data[i c.cols + j].
template <class T, class C>
void multiply_few_rows(Rows<const T> a, Rows<const T> b, bool accumulate, Rows<C> c) {
  using A = acc_t<T>;
  const auto rows_of_b = [&]<int Height, int Width>(std::int64_t j, std::integral_constant<int, Height>,
                                                    std::integral_constant<int, Width>) {
    A sum[Height][Width];
    detail::multiply_rows(a, b.slice(j, Width), sum);
    for (int i = 0; i < Height; ++i) {
      for (int x = 0; x < Width; ++x) {
        C& to = c.row(i)[j + x];
        to = static_cast<C>(accumulate ? static_cast<A>(to) + sum[i][x] : sum[i][x]);
      }
    }
  };
  const auto rows_of_a = [&](auto height) {
    std::int64_t j = 0;
    for (; j + 4 <= b.rows; j += 4) rows_of_b(j, height, std::integral_constant<int, 4>());
    for (; j < b.rows; ++j) rows_of_b(j, height, std::integral_constant<int, 1>());
  };
  switch (a.rows) {
    case 1:
      return rows_of_a(std::integral_constant<int, 1>());
    case 2:
      return rows_of_a(std::integral_constant<int, 2>());
    case 3:
      return rows_of_a(std::integral_constant<int, 3>());
    case 4:
      return rows_of_a(std::integral_constant<int, 4>());
    default:
      return;
  }
}

}  // namespace cria::cpu
