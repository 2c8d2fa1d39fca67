#pragma once
/// Operands of matrix products as tiles read them: factors in the order in which they are multiplied, so that
/// memory is read from start to end. An operand that lies well already stays where it is: its rows are read
/// side by side, and are not a multiple of half a page apart, for then they would meet in few places of the
/// cache.

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "cria/backend/cpu/cpu.hpp"
#include "cria/backend/cpu/factor.hpp"
#include "cria/backend/cpu/lanes.hpp"
#include "cria/backend/cpu/register_tile.hpp"
#include "cria/backend/cpu/section.hpp"
#include "cria/core/operand.hpp"

namespace cria::cpu {

namespace detail {

/// Rows from one panel in memory to the next: factors, and never an even number of them, for panels that are
/// whole pages apart would meet in few places of the cache.
inline std::int64_t rows_of_panel(std::int64_t factors) {
  return factors | 1;
}

/// Brings a matrix that is summed over its rows into panels of Panel columns, [rows_of_panel(factors),
/// Panel], the last one of as many columns as there are, rounded up to Unit with zeros.
template <std::int64_t Panel, std::int64_t Unit, class F, class T>
void pack_down_columns(Rows<const T> from, Section depth, Section columns, F* to) {
  const std::int64_t factors = factors_for<F>(depth.size), panel_rows = rows_of_panel(factors);
  const std::int64_t whole = columns.size / Panel * Panel;
  const std::int64_t rest = columns.size - whole, padded_rest = (rest + Unit - 1) / Unit * Unit;
  for (std::int64_t k = 0; k < factors; ++k) {
    const T* row = from.row(depth.first + k * numbers_in<F>) + columns.first;
    const T* below = (k + 1) * numbers_in<F> <= depth.size ? row + (numbers_in<F> - 1) * from.cols : nullptr;
    F* out = to + k * Panel;
    for (std::int64_t j = 0; j < whole; j += Panel, out += panel_rows * Panel) {
      Packing<F>::down_columns(row + j, below ? below + j : nullptr, Panel, out);
    }
    if (rest == 0) continue;
    out = to + panel_rows * whole + k * padded_rest;
    Packing<F>::down_columns(row + whole, below ? below + whole : nullptr, rest, out);
    std::fill(out + rest, out + padded_rest, F{});
  }
}

/// Numbers of rows -> factors [rows, ..], rows `stride` apart.
template <class F, class T>
void pack_along_rows(Rows<const T> from, Section rows, Section depth, std::int64_t stride, F* to) {
  for (std::int64_t i = 0; i < rows.size; ++i) {
    Packing<F>::along_rows(from.row(rows.first + i) + depth.first, 1, depth.size, to + i * stride);
  }
}

/// Whether rows so far apart may be read side by side.
template <class T>
bool has_good_stride(Rows<const T> x) {
  return x.cols * std::int64_t{sizeof(T)} % 2048 != 0;
}

/// A section of a matrix as factors where it lies, its rows being summed along, or null.
template <class F, class T>
const F* along_rows_in_place(Rows<const T> from, Section rows, Section depth) {
  return Packing<F>::along_rows_in_place(from.row(rows.first) + depth.first, depth.size, from.cols);
}

}  // namespace detail

/// Some rows of a left operand.
template <class F>
class LeftBlock {
 public:
  /// Elements of memory that load() needs.
  template <class T>
  static std::int64_t memory_size(const Operand<T>& a, std::int64_t rows, std::int64_t factors) {
    return is_in_place(a, rows) ? 0 : padded_rows(rows) * (factors + padding);
  }

  /// Of a, in place or in `memory`.
  template <class T>
  static LeftFactors<F> load(const Operand<T>& a, Section rows, Section depth, F* memory) {
    const std::int64_t factors = factors_for<F>(depth.size);
    if (a.is_transposed) {
      detail::pack_down_columns<tile_height, tile_height>(a.matrix, depth, rows, memory);
      return {memory, 1, tile_height, detail::rows_of_panel(factors) * tile_height};
    }
    std::int64_t stride = a.matrix.cols / numbers_in<F>;
    const F* data =
        is_in_place(a, rows.size) ? detail::along_rows_in_place<F>(a.matrix, rows, depth) : nullptr;
    if (!data) {
      stride = factors % padding == 0 ? factors + padding : factors;
      detail::pack_along_rows(a.matrix, rows, depth, stride, memory);
      data = memory;
    }
    return {data, stride, 1, tile_height * stride, true};
  }

 private:
  static constexpr std::int64_t padding = 16;

  static std::int64_t padded_rows(std::int64_t rows) {
    return (rows + tile_height - 1) / tile_height * tile_height;
  }
  template <class T>
  static bool is_in_place(const Operand<T>& a, std::int64_t rows) {
    if (a.is_transposed || !detail::along_rows_in_place<F>(a.matrix, {0, 0}, {0, a.matrix.cols}))
      return false;
    return rows < tile_height || detail::has_good_stride(a.matrix);
  }
};

/// Some columns of a right operand, panel_width<F> of them at a time.
template <class F>
struct RightBlock {
  const F* data;
  std::int64_t step;   // from a column to the next one's panel
  std::int64_t depth;  // from a factor to the one below it; 0: a panel's width

  /// The panel of columns [j, j + count).
  RightFactors<F> at(std::int64_t j, std::int64_t count) const {
    return {data + j * step, depth == 0 ? padded<F>(count) : depth};
  }

  /// Elements of memory that load() needs for b that meets `rows` rows.
  template <class T>
  static std::int64_t memory_size(const Operand<T>& b, std::int64_t rows, std::int64_t columns,
                                  std::int64_t factors) {
    return is_in_place(b, rows) ? 0 : padded<F>(columns) * detail::rows_of_panel(factors);
  }

  /// Of b, in place or in `memory`.
  template <class T>
  static RightBlock load(const Operand<T>& b, std::int64_t rows, Section depth, Section columns, F* memory) {
    const std::int64_t factors = factors_for<F>(depth.size);
    if constexpr (std::is_same_v<F, T>) {
      if (is_in_place(b, rows)) return {b.matrix.row(depth.first) + columns.first, 1, b.matrix.cols};
    }
    if (b.is_transposed) {
      transpose_rows(b.matrix, depth, columns, memory);
    } else {
      detail::pack_down_columns<panel_width<F>, lane_count<F>>(b.matrix, depth, columns, memory);
    }
    return {memory, detail::rows_of_panel(factors), 0};
  }

 private:
  // Rows of the left operand up to which packing costs more than it brings.
  static constexpr std::int64_t few = 2 * tile_height, some = 16 * tile_height;

  template <class T>
  static bool is_in_place(const Operand<T>& b, std::int64_t rows) {
    if (!std::is_same_v<F, T> || b.is_transposed || b.matrix.cols % lane_count<F> != 0) return false;
    return rows <= (detail::has_good_stride(b.matrix) ? some : few);
  }

  /// Panels of a matrix that is summed along its rows.
  template <class T>
  static void transpose_rows(Rows<const T> b, Section depth, Section columns, F* to) {
    const std::int64_t factors = factors_for<F>(depth.size);
    for_each_section(columns, panel_width<F>, [&](Section panel) {
      const std::int64_t width = padded<F>(panel.size);
      for_each_section(panel, lane_count<F>, [&](Section rows) {
        F* place = to + (rows.first - panel.first);
        if (const F* from = detail::along_rows_in_place<F>(b, rows, depth)) {
          return transpose(rows.size, factors, from, b.cols / numbers_in<F>, place, width);
        }
        const Scratch<F> packed(lane_count<F> * factors);
        detail::pack_along_rows(b, rows, depth, factors, packed.data());
        transpose(rows.size, factors, packed.data(), factors, place, width);
      });
      to += detail::rows_of_panel(factors) * width;
    });
  }
};

}  // namespace cria::cpu
