#pragma once
/// The way of attention's heads between tensors and the memory that small products read and write: positions
/// in rows, as tensors have them, or transposed, a position in each column.

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "cria/backend/cpu/cpu.hpp"
#include "cria/backend/cpu/factor.hpp"
#include "cria/core/view.hpp"

namespace cria::cpu {

/// Neighbouring heads of one sequence: rows [length, heads dim].
template <class T>
struct HeadRows {
  T* data;
  std::int64_t length, heads, dim, stride;

  HeadRows(const Heads<T>& x, std::int64_t b, std::int64_t first, std::int64_t count)
      : data(x.at(b, 0, first)), length(x.length), heads(count), dim(x.dim), stride(x.row_stride) {}

  std::int64_t width() const { return heads * dim; }
  T* at(std::int64_t position) const { return data + position * stride; }
};

/// Positions [first, first + count) -> to [heads factors_for<F>(dim), count], rows `stride` apart. The last
/// position is repeated where there are no more.
template <class T, class F>
void load_transposed(const HeadRows<T>& x, std::int64_t first, std::int64_t count, F* to,
                     std::int64_t stride) {
  const std::int64_t depth = x.heads * factors_for<F>(x.dim);
  const Scratch<F> packed(lane_count<F> * depth);
  for (std::int64_t t = 0; t < count; t += lane_count<F>) {
    const std::int64_t position = std::min(first + t, x.length - 1);
    const std::int64_t rows = std::min(lane_count<F>, x.length - position);
    if (const F* from = Packing<F>::along_rows_in_place(x.at(position), x.dim, x.stride)) {
      transpose(rows, depth, from, x.stride / numbers_in<F>, to + t, stride);
      continue;
    }
    for (std::int64_t i = 0; i < rows; ++i) {
      Packing<F>::along_rows(x.at(position + i), x.heads, x.dim, packed.data() + i * depth);
    }
    transpose(rows, depth, packed.data(), depth, to + t, stride);
  }
}

/// Rows of factors, each `stride` after the one before.
template <class F>
struct FactorRows {
  const F* data;
  std::int64_t stride;
  const F* at(std::int64_t i) const { return data + i * stride; }
};

/// Positions [first, first + count) -> rows [factors_for<F>(count), width], zeros to the right of the heads
/// and after the last position: in `memory`, or where they are if factors are numbers and no zeros are
/// needed.
template <class T, class F>
FactorRows<F> load_rows(const HeadRows<const T>& x, std::int64_t first, std::int64_t count,
                        std::int64_t width, F* memory) {
  if constexpr (std::is_same_v<T, F>) {
    if (x.width() == width && first + count <= x.length) return {x.at(first), x.stride};
  }
  F* to = memory;
  for (std::int64_t t = first; t < first + count; t += numbers_in<F>, to += width) {
    const bool is_there = t < x.length;
    const T* below = t + 1 < x.length ? x.at(t + 1) : nullptr;
    if (is_there) Packing<F>::down_columns(x.at(t), below, x.width(), to);
    std::fill(to + (is_there ? x.width() : 0), to + width, F{});
  }
  return {memory, width};
}

/// Adds sums [count, heads dim], rows `stride` apart, to the positions from `first` on, or overwrites these
/// if they are fresh. Uses the sums' memory.
template <class T, class A>
void add_rows(A* sums, std::int64_t stride, std::int64_t count, const HeadRows<T>& to, bool fresh,
              std::int64_t first) {
  for (std::int64_t t = 0; t < count; ++t, sums += stride) {
    T* old = to.at(first + t);
    if (!fresh) {
      for (std::int64_t d = 0; d < to.width(); ++d) sums[d] += static_cast<A>(old[d]);
    }
    convert_range(sums, old, to.width());
  }
}

/// The same for sums [heads dim, columns], a position in each of the first `count` columns. `rows` is memory
/// [count, padded<A>(heads dim)] to work in, count rounded up to whole registers.
template <class T, class A>
void add_transposed(const A* sums, std::int64_t columns, std::int64_t count, const HeadRows<T>& to,
                    bool fresh, std::int64_t first, A* rows) {
  const std::int64_t stride = padded<A>(to.width());
  transpose(to.width(), count, sums, columns, rows, stride);
  add_rows(rows, stride, count, to, fresh, first);
}

}  // namespace cria::cpu
