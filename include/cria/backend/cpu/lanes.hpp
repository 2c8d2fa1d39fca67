#pragma once
/// Registers of numbers, by the vector extension that GCC and Clang share.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "cria/core/config.hpp"

namespace cria::cpu {

// The registers that the program is compiled for.
#if defined(__AVX512F__)
inline constexpr int register_bytes = 64, register_count = 32;
#elif defined(__AVX__)
inline constexpr int register_bytes = 32, register_count = 16;
#else
inline constexpr int register_bytes = 16, register_count = 16;
#endif

namespace detail {

/// What is no number is its bits.
template <class A>
struct lanes {
  using Lane = std::conditional_t<std::is_arithmetic_v<A>, A, std::uint32_t>;
  static_assert(sizeof(Lane) == sizeof(A));
  typedef Lane type __attribute__((vector_size(register_bytes)));
  typedef Lane in_memory __attribute__((vector_size(register_bytes), aligned(alignof(A)), may_alias));
};

}  // namespace detail

/// A register's worth of numbers.
template <class A>
using Lanes = typename detail::lanes<A>::type;

/// How many numbers a register holds.
template <class A>
inline constexpr std::int64_t lane_count = register_bytes / static_cast<std::int64_t>(sizeof(A));

/// `size` rounded up to whole registers.
template <class A>
constexpr std::int64_t padded(std::int64_t size) {
  return (size + lane_count<A> - 1) / lane_count<A> * lane_count<A>;
}

template <class A>
Lanes<A> load_lanes(const A* from) {
  return *reinterpret_cast<const typename detail::lanes<A>::in_memory*>(from);
}
template <class A>
void store_lanes(Lanes<A> value, A* to) {
  *reinterpret_cast<typename detail::lanes<A>::in_memory*>(to) = value;
}

namespace detail {

template <class A, std::size_t... Lane>
Lanes<A> from_lane(std::int64_t first, Lanes<A> x, A before, std::index_sequence<Lane...>) {
  return Lanes<A>{static_cast<A>(Lane)...} < static_cast<A>(first) ? Lanes<A>{} + before : x;
}
template <int By, class A, std::size_t... Lane>
Lanes<A> rotated(Lanes<A> x, std::index_sequence<Lane...>) {
  return Lanes<A>{x[(Lane + By) % sizeof...(Lane)]...};
}

/// x[0], y[0], x[1], y[1], ... from lane `First` on.
template <class A, int First, std::size_t... Lane>
Lanes<A> interleave(Lanes<A> x, Lanes<A> y, std::index_sequence<Lane...>) {
  return Lanes<A>{(Lane % 2 == 0 ? x : y)[First + Lane / 2]...};
}

/// A square of registers' worth of rows, transposed: the network that shuffles all numbers perfectly as often
/// as halves the square to nothing.
template <class A>
void transpose_square(Lanes<A> (&row)[lane_count<A>]) {
  constexpr int size = static_cast<int>(lane_count<A>);
  constexpr std::make_index_sequence<static_cast<std::size_t>(size)> all{};
#pragma GCC unroll 4
  for (int step = 1; step < size; step *= 2) {
    Lanes<A> shuffled[lane_count<A>];
#pragma GCC unroll 8
    for (int i = 0; i < size / 2; ++i) {
      shuffled[2 * i] = interleave<A, 0>(row[i], row[i + size / 2], all);
      shuffled[2 * i + 1] = interleave<A, size / 2>(row[i], row[i + size / 2], all);
    }
#pragma GCC unroll 16
    for (int i = 0; i < size; ++i) row[i] = shuffled[i];
  }
}

}  // namespace detail

/// x from lane `first` on, and `before` before it.
template <class A>
Lanes<A> from_lane(std::int64_t first, Lanes<A> x, A before) {
  return detail::from_lane<A>(first, x, before,
                              std::make_index_sequence<static_cast<std::size_t>(lane_count<A>)>());
}
/// Every lane's number from By lanes further on, the first ones after the last.
template <int By, class A>
Lanes<A> rotated(Lanes<A> x) {
  return detail::rotated<By, A>(x, std::make_index_sequence<static_cast<std::size_t>(lane_count<A>)>());
}

/// to[j, i] = from[i, j] for i < rows, j < columns. Rows of `to` have room for whole registers and are
/// written up to there, the last row of `from` being repeated.
template <class A>
void transpose(std::int64_t rows, std::int64_t columns, const A* from, std::int64_t from_row, A* to,
               std::int64_t to_row) {
  constexpr std::int64_t size = lane_count<A>;
  for (std::int64_t i = 0; i < rows; i += size) {
    const auto row = [&](std::int64_t r) { return from + std::min(i + r, rows - 1) * from_row; };
    if (columns < size) {
      for (std::int64_t r = 0; r < size; ++r) {
        for (std::int64_t j = 0; j < columns; ++j) to[j * to_row + i + r] = row(r)[j];
      }
      continue;
    }
    for (std::int64_t next = 0; next < columns; next += size) {
      const std::int64_t j = std::min(next, columns - size);  // the last square overlaps the one before
      Lanes<A> square[size];
      for (std::int64_t r = 0; r < size; ++r) square[r] = load_lanes(row(r) + j);
      detail::transpose_square<A>(square);
      for (std::int64_t c = 0; c < size; ++c) store_lanes<A>(square[c], to + (j + c) * to_row + i);
    }
  }
}

}  // namespace cria::cpu
