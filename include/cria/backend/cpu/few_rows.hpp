#pragma once
/// Products of a few rows with a matrix that is summed along its rows, as the next positions of some texts
/// are with all weights: every number of the matrix is read from memory once, where it lies, at its speed. A
/// row of the result is the same whatever other rows there are.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cria/backend/cpu/addend.hpp"
#include "cria/backend/cpu/factor.hpp"
#include "cria/backend/cpu/lanes.hpp"
#include "cria/core/view.hpp"

namespace cria::cpu {

/// Rows up to which this is faster than tiles.
inline constexpr std::int64_t few_rows = 8;

namespace detail {

/// The sum of the first Count of a register's numbers, in each of them, by halves.
template <class A, int Count = static_cast<int>(lane_count<A>)>
CRIA_INLINE Lanes<A> sum_of_lanes(Lanes<A> x) {
  if constexpr (Count == 1) {
    return x;
  } else {
    return sum_of_lanes<A, Count / 2>(x + cpu::rotated<Count / 2, A>(x));
  }
}

/// c[i, j] = addend[i, j] + sum over k < depth of a[i, k] b[j, k], for a tile of Height rows i and Width
/// columns j. `next` are as many rows of b, which are on their way to the second cache meanwhile; null if
/// they need not be.
template <int Height, int Width, class T, class C>
CRIA_INLINE void multiply_few(std::int64_t depth, Rows<const T> a, Rows<const T> b, const T* next,
                              Addend<C> addend, Rows<C> c) {
  using F = factor_t<T>;
  using A = acc_t<T>;
  constexpr std::int64_t numbers = lane_count<F> * numbers_in<F>;
  constexpr int chains = 2;  // sums of an element that do not wait for each other
  Lanes<A> sums[Height][Width][chains] = {};
  std::int64_t k = 0;
  const auto add = [&](int chain) {
    Lanes<F> left[Height];
#pragma GCC unroll 4
    for (int i = 0; i < Height; ++i) left[i] = load_factors<F>(a.row(i) + k);
#pragma GCC unroll 2
    for (int j = 0; j < Width; ++j) {
      if (next) __builtin_prefetch(next + j * b.cols + k, 0, 2);
      const Lanes<F> right = load_factors<F>(b.row(j) + k);
#pragma GCC unroll 4
      for (int i = 0; i < Height; ++i) {
        sums[i][j][chain] = multiply_add<F>(left[i], right, sums[i][j][chain]);
      }
    }
    k += numbers;
  };
  while (k + chains * numbers <= depth) {
#pragma GCC unroll 2
    for (int chain = 0; chain < chains; ++chain) add(chain);
  }
  while (k + numbers <= depth) add(0);
  for (int i = 0; i < Height; ++i) {
    for (int j = 0; j < Width; ++j) {
      A sum = sum_of_lanes<A>(sums[i][j][0] + sums[i][j][1])[0];
      for (std::int64_t rest = k; rest < depth; ++rest) {
        sum += static_cast<A>(a.row(i)[rest]) * static_cast<A>(b.row(j)[rest]);
      }
      c.row(i)[j] = static_cast<C>(addend ? static_cast<A>(addend.at(i, j)) + sum : sum);
    }
  }
}

}  // namespace detail

/// c[i, j] = addend[i, j] + sum over k < depth of a[i, k] b[j, k], for at most few_rows rows i. The matrices'
/// cols are the distances of their rows. A row of b is read from start to end, which the processor fetches
/// ahead best, and stays in a near cache while all of a's rows are multiplied with it.
template <class T, class C>
void multiply_few_rows(std::int64_t depth, Rows<const T> a, Rows<const T> b, Addend<C> addend, Rows<C> c) {
  // Tiles of 4 rows have two columns if their sums then leave half of the registers.
  constexpr std::int64_t columns_at_once = register_count == 32 ? 2 : 1;
  for (std::int64_t j = 0; j < b.rows;) {
    const std::int64_t width = a.rows >= 4 ? std::min(columns_at_once, b.rows - j) : 1;
    const T* next = a.rows >= 4 && j + 2 * width <= b.rows ? b.row(j + width) : nullptr;
    for (std::int64_t i = 0; i < a.rows;) {
      const auto multiply = [&]<int Height, int Width>(std::integer_sequence<int, Height, Width>) {
        if (a.rows - i < Height || width != Width) return false;
        detail::multiply_few<Height, Width>(depth, a.slice(i, Height), b.slice(j, Width), next,
                                            addend.from(i, j), Rows<C>{c.row(i) + j, Height, c.cols});
        i += Height;
        next = nullptr;
        return true;
      };
      multiply(std::integer_sequence<int, 4, columns_at_once>()) ||
          multiply(std::integer_sequence<int, 4, 1>()) || multiply(std::integer_sequence<int, 2, 1>()) ||
          multiply(std::integer_sequence<int, 1, 1>()) ||
          multiply(std::integer_sequence<int, 1, columns_at_once>());
    }
    j += width;
  }
}

}  // namespace cria::cpu
