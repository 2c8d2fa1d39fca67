#pragma once
/// Products of a few rows with a matrix that is summed along its rows, as one position of a text is with all
/// weights: every number of the matrix is read once, where it lies, at the speed of memory.

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
inline constexpr std::int64_t few_rows = 4;

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

/// sum[i] = sum over k < depth of a[i, k] b[k].
template <int Height, class T>
CRIA_INLINE void multiply_row(std::int64_t depth, Rows<const T> a, const T* b, acc_t<T> (&sum)[Height]) {
  using F = factor_t<T>;
  using A = acc_t<T>;
  constexpr std::int64_t numbers = lane_count<F> * numbers_in<F>;
  constexpr int chains = 4 / Height > 1 ? 4 / Height : 1;  // sums that do not wait for each other
  Lanes<A> sums[Height][chains] = {};
  std::int64_t k = 0;
  const auto add = [&](int chain) {
    const Lanes<F> right = load_factors<F>(b + k);
#pragma GCC unroll 4
    for (int i = 0; i < Height; ++i) {
      sums[i][chain] = multiply_add<F>(load_factors<F>(a.row(i) + k), right, sums[i][chain]);
    }
    k += numbers;
  };
  while (k + chains * numbers <= depth) {
#pragma GCC unroll 4
    for (int chain = 0; chain < chains; ++chain) add(chain);
  }
  while (k + numbers <= depth) add(0);
  for (int i = 0; i < Height; ++i) {
    for (int chain = 1; chain < chains; ++chain) sums[i][0] += sums[i][chain];
    sum[i] = sum_of_lanes<A>(sums[i][0])[0];
    for (std::int64_t rest = k; rest < depth; ++rest) {
      sum[i] += static_cast<A>(a.row(i)[rest]) * static_cast<A>(b[rest]);
    }
  }
}

}  // namespace detail

/// c[i, j] = addend[i, j] + sum over k < depth of a[i, k] b[j, k], for at most few_rows rows i. The matrices'
/// cols are the distances of their rows. b is read from start to end, which the processor fetches ahead best.
template <class T, class C>
void multiply_few_rows(std::int64_t depth, Rows<const T> a, Rows<const T> b, Addend<C> addend, Rows<C> c) {
  using A = acc_t<T>;
  const auto multiply = [&]<int Height>(std::integral_constant<int, Height>) {
    for (std::int64_t j = 0; j < b.rows; ++j) {
      A sum[Height];
      detail::multiply_row(depth, a, b.row(j), sum);
      for (int i = 0; i < Height; ++i) {
        c.row(i)[j] = static_cast<C>(addend ? static_cast<A>(addend.at(i, j)) + sum[i] : sum[i]);
      }
    }
  };
  switch (a.rows) {
    case 1:
      return multiply(std::integral_constant<int, 1>());
    case 2:
      return multiply(std::integral_constant<int, 2>());
    case 3:
      return multiply(std::integral_constant<int, 3>());
    case 4:
      return multiply(std::integral_constant<int, 4>());
    default:
      return;
  }
}

}  // namespace cria::cpu
