#pragma once
/// Products of small matrices that lie in cache, on one thread: what attention is made of.

#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace cria::cpu {

namespace detail {

// The registers that the program is compiled for: tiles that do not fit in them would be kept in memory.
#if defined(__AVX512F__)
inline constexpr int register_bytes = 64, register_count = 32;
#elif defined(__AVX__)
inline constexpr int register_bytes = 32, register_count = 16;
#else
inline constexpr int register_bytes = 16, register_count = 16;
#endif

template <class A>
struct lanes {
  typedef A type __attribute__((vector_size(register_bytes)));
  typedef A in_memory __attribute__((vector_size(register_bytes), aligned(alignof(A)), may_alias));
};

/// A register's worth of numbers, by the vector extension that GCC and Clang share.
template <class A>
using Lanes = typename lanes<A>::type;

template <class A>
Lanes<A> load_lanes(const A* from) {
  return *reinterpret_cast<const typename lanes<A>::in_memory*>(from);
}
template <class A>
void store_lanes(Lanes<A> value, A* to) {
  *reinterpret_cast<typename lanes<A>::in_memory*>(to) = value;
}

/// Computes `Height` rows and `Width` registers of columns of c, keeping the sums in registers.
template <int Height, int Width, class A>
void product_tile(std::int64_t depth, const A* a, std::int64_t a_row, std::int64_t a_depth, const A* b,
                  std::int64_t b_depth, A* c, std::int64_t c_row, bool accumulate) {
  constexpr std::int64_t lane_count = sizeof(Lanes<A>) / sizeof(A);
  Lanes<A> sum[Height][Width] = {};
  for (std::int64_t k = 0; k < depth; ++k) {
    Lanes<A> right[Width];
#pragma GCC unroll 3
    for (int column = 0; column < Width; ++column)
      right[column] = load_lanes(b + k * b_depth + column * lane_count);
    const A* left = a + k * a_depth;
#pragma GCC unroll 12
    for (int row = 0; row < Height; ++row) {
#pragma GCC unroll 3
      for (int column = 0; column < Width; ++column) sum[row][column] += left[row * a_row] * right[column];
    }
  }
#pragma GCC unroll 12
  for (int row = 0; row < Height; ++row) {
#pragma GCC unroll 3
    for (int column = 0; column < Width; ++column) {
      A* to = c + row * c_row + column * lane_count;
      store_lanes(accumulate ? load_lanes<A>(to) + sum[row][column] : sum[row][column], to);
    }
  }
}

template <int Width, class A>
void product_columns(std::int64_t rows, std::int64_t depth, const A* a, std::int64_t a_row,
                     std::int64_t a_depth, const A* b, std::int64_t b_depth, A* c, std::int64_t c_row,
                     bool accumulate) {
  std::int64_t row = 0;
  const auto tiles = [&]<int Height>(std::integral_constant<int, Height>) {
    for (; row + Height <= rows; row += Height) {
      product_tile<Height, Width>(depth, a + row * a_row, a_row, a_depth, b, b_depth, c + row * c_row, c_row,
                                  accumulate);
    }
  };
  // As many rows as the registers hold beside b and an element of a, in numbers that divide common head
  // sizes; then the rest.
  constexpr int most = (register_count - 1) / Width - 1;
  tiles(std::integral_constant<int, (most >= 12 ? 12 : most >= 8 ? 8 : most >= 6 ? 6 : 4)>());
  tiles(std::integral_constant<int, 4>());
  tiles(std::integral_constant<int, 1>());
}

}  // namespace detail

/// How many numbers a register holds; columns of small products are padded to a multiple of it.
template <class A>
inline constexpr std::int64_t lane_count = detail::register_bytes / static_cast<std::int64_t>(sizeof(A));

/// `size` rounded up to whole registers.
template <class A>
constexpr std::int64_t padded(std::int64_t size) {
  return (size + lane_count<A> - 1) / lane_count<A> * lane_count<A>;
}

/// c[i, j] (+)= sum over k of a(i, k) b[k, j] with a(i, k) = a[i a_row + k a_depth], b[k, j] = b[k b_depth +
/// j] and c[i, j] = c[i c_row + j]. columns is a multiple of lane_count<A>.
template <class A>
void small_product(std::int64_t rows, std::int64_t columns, std::int64_t depth, const A* a,
                   std::int64_t a_row, std::int64_t a_depth, const A* b, std::int64_t b_depth, A* c,
                   std::int64_t c_row, bool accumulate) {
  for (std::int64_t column = 0; column < columns;) {
    constexpr std::int64_t widest = detail::register_count == 32 ? 3 : 2;
    const std::int64_t width = std::min(widest, (columns - column) / lane_count<A>);
    const auto part = width == 3   ? detail::product_columns<3, A>
                      : width == 2 ? detail::product_columns<2, A>
                                   : detail::product_columns<1, A>;
    part(rows, depth, a, a_row, a_depth, b + column, b_depth, c + column, c_row, accumulate);
    column += width * lane_count<A>;
  }
}

}  // namespace cria::cpu
