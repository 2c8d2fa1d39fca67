#pragma once
/// Products of small matrices that lie in cache, on one thread: what attention is made of.

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "cria/backend/cpu/factor.hpp"
#include "cria/backend/cpu/lanes.hpp"
#include "cria/backend/cpu/register_tile.hpp"

namespace cria::cpu {

namespace detail {

/// Computes `Height` rows and `Width` registers of columns of c, keeping the sums in registers.
template <int Height, int Width, std::int64_t RowStride, class F>
void product_tile(std::int64_t depth, const F* a, std::int64_t a_depth, const F* b, std::int64_t b_depth,
                  sum_t<F>* c, std::int64_t c_row, bool accumulate) {
  using A = sum_t<F>;
  Lanes<A> sum[Height][Width] = {};
  add_products(depth, a, std::integral_constant<std::int64_t, RowStride>(), a_depth, {b, b_depth}, sum);
#pragma GCC unroll 12
  for (int row = 0; row < Height; ++row) {
#pragma GCC unroll 3
    for (int column = 0; column < Width; ++column) {
      A* to = c + row * c_row + column * lane_count<A>;
      store_lanes<A>(accumulate ? load_lanes(to) + sum[row][column] : sum[row][column], to);
    }
  }
}

template <int Width, std::int64_t RowStride, class F>
void product_columns(std::int64_t rows, std::int64_t depth, const F* a, std::int64_t a_depth, const F* b,
                     std::int64_t b_depth, sum_t<F>* c, std::int64_t c_row, bool accumulate) {
  // As many rows as the registers hold beside b and an element of a, in numbers that divide common head
  // sizes; then the rest. Tiles that do not fit in the registers would be kept in memory.
  constexpr int most = (register_count - 1) / Width - 1;
  constexpr int height = most >= 12 ? 12 : most >= 8 ? 8 : most >= 6 ? 6 : 4;
  for_each_tile<height, 4, 1>(rows, [&]<int Height>(std::int64_t row, std::integral_constant<int, Height>) {
    product_tile<Height, Width, RowStride>(depth, a + row * RowStride, a_depth, b, b_depth, c + row * c_row,
                                           c_row, accumulate);
  });
}

}  // namespace detail

/// c[i, j] (+)= sum over k of a(i, k) b[k, j], where a(i, k) = a[i RowStride + k a_depth],
/// b[k, j] = b[k b_depth + j] and c[i, j] = c[i c_row + j]. columns is a multiple of lane_count<F>. Where a
/// factor is two numbers, k counts pairs.
template <std::int64_t RowStride, class F>
void small_product(std::int64_t rows, std::int64_t columns, std::int64_t depth, const F* a,
                   std::int64_t a_depth, const F* b, std::int64_t b_depth, sum_t<F>* c, std::int64_t c_row,
                   bool accumulate) {
  for (std::int64_t column = 0; column < columns;) {
    constexpr std::int64_t widest = register_count == 32 ? 3 : 2;
    const std::int64_t width = std::min(widest, (columns - column) / lane_count<F>);
    const auto part = width == 3   ? detail::product_columns<3, RowStride, F>
                      : width == 2 ? detail::product_columns<2, RowStride, F>
                                   : detail::product_columns<1, RowStride, F>;
    part(rows, depth, a, a_depth, b + column, b_depth, c + column, c_row, accumulate);
    column += width * lane_count<F>;
  }
}

}  // namespace cria::cpu
