#pragma once
/// CPU kernel of reductions: sums, maxima and their kind over any dimensions.

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "cria/backend/cpu/elementwise.hpp"
#include "cria/core/formulas.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/reductions.hpp"

namespace cria {

namespace cpu {

/// Parts of a loop that are put together on their own, and then with each other: as many as the number of
/// elements says, not the threads.
inline constexpr std::int64_t smallest_part = 32768, most_parts = 64;

/// The loop over `count` indices of the outermost dimension.
template <int N>
Broadcast<N> part_of(Broadcast<N> loop, std::int64_t count) {
  loop.size = loop.size / loop.dims[0] * count;
  for (int k = 0; k < N; ++k) {
    if (loop.strides[k][0] != 0) loop.sizes[k] = loop.sizes[k] / loop.dims[0] * count;
    loop.is_whole[k] = loop.sizes[k] == loop.size;
  }
  loop.dims[0] = count;
  return loop;
}

/// One reduction. Input 0 of the loop is the result, the others are those of the formula.
template <class R, class F, class Y, class... X>
class Reduction {
  using A = reduction_t<Y>;
  static constexpr int N = 1 + static_cast<int>(sizeof...(X));
  using Loop = Broadcast<N>;

 public:
  Reduction(F f, Vec<Y> y, Vec<const X>... x) : f_(f), y_(y.data), x_(x.data...) {}

  void run(const Loop& loop) const {
    if (loop.sizes[0] == 0) return;
    if (loop.rank == 0 || loop.strides[0][0] == 0) return reduce_parts(loop, *this);
    const std::int64_t outer = loop.dims[0], each = loop.size / outer;
    if (each >= 2 * smallest_part && outer < most_parts) {
      for (std::int64_t i = 0; i < outer; ++i) reduce_parts(part_of(loop, 1), moved(loop, i));
      return;
    }
    const std::int64_t together = std::clamp<std::int64_t>(map_block_size * outer / loop.sizes[0], 1, outer);
    parallel_for(outer, smallest_part / std::max<std::int64_t>(each, 1) + 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t i = begin; i < end; i += together) {
                     const Loop part = part_of(loop, std::min(together, end - i));
                     const Reduction here = moved(loop, i);
                     Folded<N, R, A> folded(part, 0, block_for(part));
                     here.fold(part, 0, part.size, folded);
                     folded.write(here.y_);
                   }
                 });
  }

 private:
  /// The same from index `i` of the loop's outermost dimension on.
  Reduction moved(const Loop& loop, std::int64_t i) const {
    Reduction result = *this;
    result.y_ += i * loop.strides[0][0];
    int k = 1;
    std::apply([&](auto&... x) { ((x += i * loop.strides[k++][0]), ...); }, result.x_);
    return result;
  }

  /// Puts together a loop whose parts may all belong to each element of the result.
  static void reduce_parts(const Loop& loop, const Reduction& here) {
    if (loop.rank == 2 && loop.strides[0][1] != 0 && loop.dims[1] > map_block_size) {
      return here.reduce_columns(loop);
    }
    const std::int64_t block = block_for(loop), blocks = (loop.size + block - 1) / block;
    const std::int64_t room = loop.size / std::max<std::int64_t>(loop.sizes[0], 1);
    const std::int64_t parts = std::clamp<std::int64_t>(
        std::min({loop.size / smallest_part, blocks, room, most_parts}), 1, most_parts);
    if (parts == 1) {
      Folded<N, R, A> folded(loop, 0, block);
      here.fold(loop, 0, loop.size, folded);
      return folded.write(here.y_);
    }
    std::vector<std::optional<Folded<N, R, A>>> folded(static_cast<std::size_t>(parts));
    parallel_for(parts, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t part = begin; part < end; ++part) {
        here.fold(loop, blocks * part / parts * block,
                  std::min(blocks * (part + 1) / parts * block, loop.size),
                  folded[static_cast<std::size_t>(part)].emplace(loop, 0, block));
      }
    });
    for (std::size_t part = 1; part < folded.size(); ++part) folded[0]->add(*folded[part]);
    folded[0]->write(here.y_);
  }

  /// Rows that are so long that the result is taken in pieces.
  void reduce_columns(const Loop& loop) const {
    const std::int64_t rows = loop.dims[0], columns = loop.dims[1];
    parallel_for((columns + map_block_size - 1) / map_block_size, smallest_part / (rows * map_block_size) + 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   Inputs inputs = blocks_of(loop, map_block_size);
                   const Scratch<A> values(computes ? map_block_size : 0);
                   for (std::int64_t piece = begin; piece < end; ++piece) {
                     const std::int64_t first = piece * map_block_size;
                     Loop narrow = loop;
                     narrow.dims[1] = narrow.sizes[0] = std::min(map_block_size, columns - first);
                     narrow.size = rows * narrow.dims[1];
                     Folded<N, R, A> folded(narrow, 0, narrow.dims[1]);
                     for (std::int64_t row = 0; row < rows; ++row) {
                       folded.add(row * narrow.dims[1], narrow.dims[1],
                                  compute(inputs, row * columns + first, narrow.dims[1], values.data()));
                     }
                     folded.write(y_ + first);
                   }
                 });
  }

  /// Numbers that lie in memory need no room of their own.
  static std::int64_t block_for(const Loop& loop) {
    return computes || loop.moves(0) ? block_of(loop) : block_of(loop, smallest_part / 2);
  }

  /// Puts together elements [begin, end) of the loop.
  [[gnu::noinline]] void fold(const Loop& loop, std::int64_t begin, std::int64_t end,
                              Folded<N, R, A>& folded) const {
    const std::int64_t block = block_for(loop);
    Inputs inputs = blocks_of(loop, block);
    const Scratch<A> values(computes ? block : 0);
    for (std::int64_t first = begin; first < end; first += block) {
      const std::int64_t size = std::min(block, end - first);
      folded.add(first, size, compute(inputs, first, size, values.data()));
    }
  }

  using Inputs = std::tuple<InputBlocks<X, N>...>;
  Inputs blocks_of(const Loop& loop, std::int64_t block) const {
    int k = 1;
    return std::apply([&](auto*... x) { return Inputs{InputOf<const X*, N>{loop, k++, x, block}...}; }, x_);
  }
  /// The numbers to be put together of elements [first, first + size).
  const A* compute(Inputs& inputs, std::int64_t first, std::int64_t size, A* values) const {
    if constexpr (computes) {
      std::apply([&](auto&... input) { formula_block(size, f_, values, input.read(first, size)...); },
                 inputs);
      return values;
    } else {
      return std::get<0>(inputs).read(first, size);
    }
  }

  /// Whether the numbers to be put together are not those in memory.
  static constexpr bool computes = !(std::is_same_v<F, ops::Identity> && (std::is_same_v<X, A> && ...));

  F f_;
  Y* y_;
  std::tuple<const X*...> x_;
};

}  // namespace cpu

template <>
struct kernel<ops::Reduce, Cpu> {
  template <class R, class F, int N, class Y, class... X>
  static void forward(R, F f, const Broadcast<N>& loop, Vec<Y> y, Vec<const X>... x) {
    cpu::Reduction<R, F, Y, X...>(f, y, x...).run(loop);
  }
};

}  // namespace cria
