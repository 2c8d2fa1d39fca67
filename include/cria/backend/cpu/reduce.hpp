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
inline Broadcast part_of(Broadcast loop, std::int64_t count) {
  loop.size = loop.size / loop.dims[0] * count;
  for (int k = 0; k < loop.inputs; ++k) {
    if (loop.strides[k][0] != 0) loop.sizes[k] = loop.sizes[k] / loop.dims[0] * count;
    loop.is_whole[k] = loop.sizes[k] == loop.size;
  }
  loop.dims[0] = count;
  return loop;
}

/// One reduction. Input 0 of the loop is the result, the others are those of the formula, which is compiled
/// for a block alone: formula(size, numbers, x...) computes the numbers to be put together.
template <class R, class Y, class... X>
class Reduction {
  using A = reduction_t<Y>;

 public:
  using Formula = FunctionReference<std::int64_t, A*, const input_t<X>*...>;
  static constexpr bool may_be_in_memory = sizeof...(X) == 1 && (std::is_same_v<X, A> && ...);

  /// Without a formula the numbers are those in memory.
  Reduction(std::optional<Formula> formula, Vec<Y> y, Vec<const X>... x)
      : formula_(formula), y_(y.data), x_(x.data...) {}

  void run(const Broadcast& loop) const {
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
                     const Broadcast part = part_of(loop, std::min(together, end - i));
                     const Reduction here = moved(loop, i);
                     Folded<R, A> folded(part, 0, here.block_for(part));
                     here.fold(part, 0, part.size, folded);
                     folded.write(here.y_);
                   }
                 });
  }

 private:
  /// The same from index `i` of the loop's outermost dimension on.
  Reduction moved(const Broadcast& loop, std::int64_t i) const {
    Reduction result = *this;
    result.y_ += i * loop.strides[0][0];
    int k = 1;
    std::apply([&](auto&... x) { ((x += i * loop.strides[k++][0]), ...); }, result.x_);
    return result;
  }

  /// Puts together a loop whose parts may all belong to each element of the result.
  static void reduce_parts(const Broadcast& loop, const Reduction& here) {
    if (loop.rank == 2 && loop.strides[0][1] != 0 && loop.dims[1] > map_block_size) {
      return here.reduce_columns(loop);
    }
    const std::int64_t block = here.block_for(loop), blocks = (loop.size + block - 1) / block;
    const std::int64_t room = loop.size / std::max<std::int64_t>(loop.sizes[0], 1);
    const std::int64_t parts = std::clamp<std::int64_t>(
        std::min({loop.size / smallest_part, blocks, room, most_parts}), 1, most_parts);
    if (parts == 1) {
      Folded<R, A> folded(loop, 0, block);
      here.fold(loop, 0, loop.size, folded);
      return folded.write(here.y_);
    }
    std::vector<std::optional<Folded<R, A>>> folded(static_cast<std::size_t>(parts));
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
  void reduce_columns(const Broadcast& loop) const {
    const std::int64_t rows = loop.dims[0], columns = loop.dims[1];
    parallel_for((columns + map_block_size - 1) / map_block_size, smallest_part / (rows * map_block_size) + 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   Inputs inputs = blocks_of(loop, map_block_size);
                   const Scratch<A> values(formula_ ? map_block_size : 0);
                   for (std::int64_t piece = begin; piece < end; ++piece) {
                     const std::int64_t first = piece * map_block_size;
                     Broadcast narrow = loop;
                     narrow.dims[1] = narrow.sizes[0] = std::min(map_block_size, columns - first);
                     narrow.size = rows * narrow.dims[1];
                     Folded<R, A> folded(narrow, 0, narrow.dims[1]);
                     for (std::int64_t row = 0; row < rows; ++row) {
                       folded.add(row * narrow.dims[1], narrow.dims[1],
                                  compute(inputs, row * columns + first, narrow.dims[1], values.data()));
                     }
                     folded.write(y_ + first);
                   }
                 });
  }

  /// Numbers that lie in memory need no room of their own.
  std::int64_t block_for(const Broadcast& loop) const {
    return formula_ || loop.moves(0) ? block_of(loop) : block_of(loop, smallest_part / 2);
  }

  /// Puts together elements [begin, end) of the loop.
  [[gnu::noinline]] void fold(const Broadcast& loop, std::int64_t begin, std::int64_t end,
                              Folded<R, A>& folded) const {
    const std::int64_t block = block_for(loop);
    Inputs inputs = blocks_of(loop, block);
    const Scratch<A> values(formula_ ? block : 0);
    for (std::int64_t first = begin; first < end; first += block) {
      const std::int64_t size = std::min(block, end - first);
      folded.add(first, size, compute(inputs, first, size, values.data()));
    }
  }

  using Inputs = std::tuple<InputBlocks<X>...>;
  Inputs blocks_of(const Broadcast& loop, std::int64_t block) const {
    int k = 1;
    return std::apply([&](auto*... x) { return Inputs{InputOf<const X*>{loop, k++, x, block}...}; }, x_);
  }
  /// The numbers to be put together of elements [first, first + size).
  const A* compute(Inputs& inputs, std::int64_t first, std::int64_t size, A* values) const {
    if constexpr (may_be_in_memory) {
      if (!formula_) return std::get<0>(inputs).read(first, size);
    }
    std::apply([&](auto&... input) { (*formula_)(size, values, input.read(first, size)...); }, inputs);
    return values;
  }

  std::optional<Formula> formula_;
  Y* y_;
  std::tuple<const X*...> x_;
};

}  // namespace cpu

template <>
struct kernel<ops::Reduce, Cpu> {
  template <class R, class F, class Y, class... X>
  static void forward(R, F f, const Broadcast& loop, Vec<Y> y, Vec<const X>... x) {
    using Reduction = cpu::Reduction<R, Y, X...>;
    if constexpr (std::is_same_v<F, ops::Identity> && Reduction::may_be_in_memory) {
      Reduction({}, y, x...).run(loop);
    } else {
      const auto formula = [&f](std::int64_t size, reduction_t<Y>* numbers, const cpu::input_t<X>*... block) {
        cpu::formula_block(size, f, numbers, block...);
      };
      Reduction(typename Reduction::Formula(formula), y, x...).run(loop);
    }
  }
};

}  // namespace cria
