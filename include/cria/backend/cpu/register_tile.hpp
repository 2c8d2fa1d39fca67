#pragma once
/// The heart of all matrix products: a tile of the result that stays in registers while its sums are added
/// up. Each step of depth multiplies Height factors of the left operand, each spread over a register, by
/// Width registers of the right one: Height Width multiply-adds for Height + Width loads. 8 x 3 of 32
/// registers (6 x 2 of 16) leave room for the right operand's registers and one of the left, make enough
/// chains of sums for the processor to be busy while each waits for its last addition, and load less than
/// every second multiply-add. An element's products are added up in the order of depth in every tile, so it
/// does not depend on where a product is cut.

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "cria/backend/cpu/addend.hpp"
#include "cria/backend/cpu/convert.hpp"
#include "cria/backend/cpu/factor.hpp"
#include "cria/backend/cpu/lanes.hpp"

namespace cria::cpu {

/// Rows and registers of columns of the largest tile.
inline constexpr int tile_height = register_count == 32 ? 8 : 6, tile_width = register_count == 32 ? 3 : 2;

/// Columns of the largest tile.
template <class F>
inline constexpr std::int64_t panel_width = std::int64_t{tile_width} * lane_count<F>;

/// Calls f(first, height) for tiles of the given heights that cover [0, size), the first height as long as it
/// fits, then the next.
template <int... Heights, class F>
CRIA_INLINE void for_each_tile(std::int64_t size, F f) {
  std::int64_t first = 0;
  const auto tiles = [&]<int Height>(std::integral_constant<int, Height> height) {
    for (; first + Height <= size; first += Height) f(first, height);
  };
  (tiles(std::integral_constant<int, Heights>()), ...);
}

/// Rows of a left operand, tile_height of them at a time: a(i, k) = data[i / tile_height tile +
/// i % tile_height row + k depth]. Rows that lie side by side, as depth = 1 says, and have not been read yet
/// may be far away.
template <class F>
struct LeftFactors {
  const F* data;
  std::int64_t row, depth, tile;
  bool may_be_far = false;

  const F* at(std::int64_t i) const { return data + i / tile_height * tile + i % tile_height * row; }
};

/// Some columns of a right operand: b(k, j) = data[k depth + j], in whole registers.
template <class F>
struct RightFactors {
  const F* data;
  std::int64_t depth;
};

/// Where a tile goes: c(i, j) = data[i row + j column], of which the first `columns` columns exist; and what
/// it is added to.
template <class C>
struct TileTarget {
  C* data;
  std::int64_t row, column, columns;
  Addend<C> addend;

  C* at(std::int64_t i, std::int64_t j = 0) const { return data + i * row + j * column; }
  /// What begins at (i, j) and has `count` columns.
  TileTarget from(std::int64_t i, std::int64_t j, std::int64_t count) const {
    return {at(i, j), row, column, count, addend.from(i, j)};
  }
};

namespace detail {

/// sum[i][j] += the products over `depth` factors. `row` and `left_depth` are the distances of the left
/// operand's rows and factors; a row that is known when compiling needs no register for addresses.
template <int Height, int Width, class F, class Row>
CRIA_INLINE void add_products(std::int64_t depth, const F* left, Row row, std::int64_t left_depth,
                              RightFactors<F> b, Lanes<sum_t<F>> (&sum)[Height][Width]) {
  const F* right = b.data;
  for (std::int64_t k = 0; k < depth; ++k, left += left_depth, right += b.depth) {
#pragma GCC unroll 12
    for (int i = 0; i < Height; ++i) {
#pragma GCC unroll 3
      for (int j = 0; j < Width; ++j) {
        sum[i][j] = multiply_add(left[i * row], right + j * lane_count<F>, sum[i][j]);
      }
    }
  }
}

/// The same for rows that lie side by side, while those of the next tile, which begin at `next`, are on their
/// way to the cache.
template <int Height, int Width, class F>
CRIA_INLINE void add_products_ahead(std::int64_t depth, const F* left, const F* next, std::int64_t row,
                                    RightFactors<F> b, Lanes<sum_t<F>> (&sum)[Height][Width]) {
  constexpr std::int64_t line = 64 / sizeof(F);
  std::int64_t k = 0;
  for (; k + line <= depth; k += line, b.data += line * b.depth) {
    for (int i = 0; i < Height; ++i) __builtin_prefetch(next + i * row + k);
    add_products(line, left + k, row, std::int64_t{1}, b, sum);
  }
  add_products(depth - k, left + k, row, std::int64_t{1}, b, sum);
}

/// Whether a register of sums of products of F is stored as C by one instruction.
template <class F, class C>
inline constexpr bool stores_at_once = std::is_same_v<C, sum_t<F>>;
#ifdef __AVX512BF16__
// These products leave no subnormal sum, which the instruction would take for 0, as it does what they are
// added to.
template <>
inline constexpr bool stores_at_once<BfloatPair, bfloat16> = true;

inline void store_lanes_as(Lanes<float> x, bfloat16* to) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      std::bit_cast<__m256i>(_mm512_cvtneps_pbh(std::bit_cast<__m512>(x))));
}
#endif
#ifdef __F16C__
template <>
inline constexpr bool stores_at_once<float, float16> = true;

inline void store_lanes_as(Lanes<float> x, float16* to) {
#ifdef __AVX512F__
  _mm256_storeu_si256(
      reinterpret_cast<__m256i*>(to),
      _mm512_cvtps_ph(std::bit_cast<__m512>(x), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#else
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                   _mm256_cvtps_ph(std::bit_cast<__m256>(x), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#endif
}
#endif
inline void store_lanes_as(Lanes<float> x, float* to) {
  store_lanes<float>(x, to);
}
inline void store_lanes_as(Lanes<double> x, double* to) {
  store_lanes<double>(x, to);
}

/// c(i, ..) = sums [Height, width] + addend for the rows i from `first_row` on.
template <int Height, class A, class C>
void store_sums(std::int64_t first_row, A* sums, std::int64_t width, const TileTarget<C>& c) {
  const std::int64_t columns = std::min(c.columns, width);
  if (c.column != 1) {
    for (std::int64_t j = 0; j < columns; ++j) {
      for (int i = 0; i < Height; ++i) {
        const A sum = sums[i * width + j];
        *c.at(first_row + i, j) =
            static_cast<C>(c.addend ? static_cast<A>(c.addend.at(first_row + i, j)) + sum : sum);
      }
    }
    return;
  }
  for (int i = 0; i < Height; ++i, sums += width) {
    C* to = c.at(first_row + i);
    if (c.addend) {
      for (std::int64_t j = 0; j < columns; ++j) sums[j] += static_cast<A>(c.addend.at(first_row + i, j));
    }
    convert_range(static_cast<const A*>(sums), to, columns);
  }
}

/// One tile: c = a b + addend for the rows from `first_row` on, over `depth` factors.
template <int Height, int Width, class F, class C>
[[gnu::noinline]] void multiply_tile(std::int64_t first_row, std::int64_t depth, const LeftFactors<F>& a,
                                     RightFactors<F> b, const TileTarget<C>& c) {
  using A = sum_t<F>;
  constexpr std::int64_t lanes = lane_count<A>, width = Width * lanes;
  Lanes<A> sum[Height][Width] = {};
  for (int i = 0; i < Height; ++i) {
    for (int j = 0; j < Width; ++j) __builtin_prefetch(c.at(first_row + i, j * lanes), 1);
  }
  if (a.may_be_far) {
    add_products_ahead(depth, a.at(first_row), a.at(first_row + Height), a.row, b, sum);
  } else {
    add_products(depth, a.at(first_row), a.row, a.depth, b, sum);
  }
  // What follows is decided only now: otherwise GCC compiles the loop once for each case, and the addresses
  // of all of them do not fit in the registers.
  asm volatile("" ::: "memory");
  if constexpr (stores_at_once<F, C>) {
    if (c.columns >= width && c.column == 1) {
      C* to = c.at(first_row);
      const C* addend = c.addend ? &c.addend.at(first_row, 0) : nullptr;
#pragma GCC unroll 12
      for (int i = 0; i < Height; ++i, to += c.row, addend += c.addend.row) {
#pragma GCC unroll 3
        for (int j = 0; j < Width; ++j) {
          if (c.addend) sum[i][j] += load_factors<A>(addend + j * lanes);
          store_lanes_as(sum[i][j], to + j * lanes);
        }
      }
      return;
    }
  }
  A memory[Height][width];
#pragma GCC unroll 12
  for (int i = 0; i < Height; ++i) {
#pragma GCC unroll 3
    for (int j = 0; j < Width; ++j) store_lanes<A>(sum[i][j], memory[i] + j * lanes);
  }
  store_sums<Height>(first_row, &memory[0][0], width, c);
}

template <int Width, class F, class C>
void multiply_tiles_of_width(std::int64_t rows, std::int64_t depth, const LeftFactors<F>& a,
                             RightFactors<F> b, const TileTarget<C>& c) {
  for_each_tile<tile_height, 4, 2, 1>(rows,
                                      [&]<int Height>(std::int64_t row, std::integral_constant<int, Height>) {
                                        multiply_tile<Height, Width>(row, depth, a, b, c);
                                      });
}

}  // namespace detail

/// A column of tiles: c = a b + addend for `rows` rows and at most panel_width<F> columns.
template <class F, class C>
void multiply_tiles(std::int64_t rows, std::int64_t depth, const LeftFactors<F>& a, RightFactors<F> b,
                    const TileTarget<C>& c) {
  const std::int64_t width = (c.columns + lane_count<F> - 1) / lane_count<F>;
  if (width == 1) return detail::multiply_tiles_of_width<1>(rows, depth, a, b, c);
  if constexpr (tile_width > 2) {
    if (width == 2) return detail::multiply_tiles_of_width<2>(rows, depth, a, b, c);
  }
  detail::multiply_tiles_of_width<tile_width>(rows, depth, a, b, c);
}

}  // namespace cria::cpu
