#pragma once
/// Inputs that are broadcast, block by block: each block of a result sees an array of its own length,
/// whatever an input repeats, and what belongs to repeated elements is summed up.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <type_traits>

#include "cria/backend/cpu/fold.hpp"
#include "cria/backend/cpu/map.hpp"
#include "cria/core/broadcast.hpp"
#include "cria/core/reductions.hpp"

namespace cria::cpu {

/// Elements of a result that are computed together: whole rows of its innermost dimension, or parts of one.
inline std::int64_t block_of(const Broadcast& loop, std::int64_t most = map_block_size) {
  if (loop.size == 0) return 1;
  std::int64_t block = most;
  if (!loop.all_whole()) {
    const std::int64_t inner = loop.dims[loop.rank - 1];
    if (inner <= most) block = most / inner * inner;
  }
  return std::min(block, loop.size);
}

/// Whether every block sees the same elements of input k, from its first on: those of a scalar or a short
/// row.
inline bool is_same_in_blocks(const Broadcast& loop, int k) {
  for (int axis = 0; axis < loop.rank; ++axis) {
    const bool is_innermost = axis == loop.rank - 1;
    if (loop.strides[k][axis] != 0 && !(is_innermost && loop.dims[axis] <= map_block_size)) return false;
  }
  return true;
}

/// Calls run(position, offset, count) for elements [first, first + size) of the result, row by row of the
/// innermost dimension: those from `position` on, counted from `first`, read input k from `offset` on, one
/// after the other, or all the same one if the input is repeated there.
template <class F>
void for_each_run(const Broadcast& loop, int k, std::int64_t first, std::int64_t size, F run) {
  if (size == 0) return;
  if (loop.rank == 0) return run(std::int64_t{0}, std::int64_t{0}, size);
  std::int64_t index[Shape::max_rank];
  for (int axis = loop.rank - 1; axis >= 0; --axis) {
    index[axis] = first % loop.dims[axis];
    first /= loop.dims[axis];
  }
  const int inner = loop.rank - 1;
  std::int64_t offset = 0;
  for (int axis = 0; axis < loop.rank; ++axis) offset += index[axis] * loop.strides[k][axis];
  for (std::int64_t position = 0; position < size;) {
    const std::int64_t count = std::min(loop.dims[inner] - index[inner], size - position);
    run(position, offset, count);
    position += count;
    offset -= index[inner] * loop.strides[k][inner];
    index[inner] = 0;
    for (int axis = inner - 1; axis >= 0; --axis) {
      offset += loop.strides[k][axis];
      if (++index[axis] < loop.dims[axis]) break;
      offset -= loop.dims[axis] * loop.strides[k][axis];
      index[axis] = 0;
    }
  }
}

/// Input k of a loop, which is taken in blocks: a const array of X, or a Gradient<Vec<X>>.
template <class Data>
struct InputOf {
  const Broadcast& loop;
  int k;
  Data data;
  std::int64_t block;
};

/// An input's elements for each block of the result, as a loop over elements reads them.
template <class X>
class InputBlocks {
 public:
  explicit InputBlocks(const InputOf<const X*>& input)
      : input_(input),
        is_whole_(input.loop.is_whole[input.k]),
        is_same_(!is_whole_ && is_same_in_blocks(input.loop, input.k)),
        wide_(input.block) {
    if (!is_whole_) memory_.emplace(input.block);
  }

  auto read(std::int64_t first, std::int64_t size) { return wide_.read(expand(first, size), size); }

 private:
  const X* expand(std::int64_t first, std::int64_t size) {
    if (is_whole_) return input_.data + first;
    if (is_same_ && size <= filled_) return memory_->data();
    const bool moves = input_.loop.moves(input_.k);
    const X* in_place = nullptr;
    for_each_run(input_.loop, input_.k, first, size,
                 [&](std::int64_t position, std::int64_t offset, std::int64_t count) {
                   const X* from = input_.data + offset;
                   if (!moves) {
                     std::fill_n(memory_->data() + position, count, *from);
                   } else if (count == size) {
                     in_place = from;
                   } else {
                     std::copy_n(from, count, memory_->data() + position);
                   }
                 });
    if (in_place) return in_place;
    filled_ = size;
    return memory_->data();
  }

  InputOf<const X*> input_;
  bool is_whole_;
  bool is_same_;
  std::optional<Scratch<X>> memory_;
  Input<X> wide_;
  std::int64_t filled_ = 0;
};

/// What the elements of a result that repeat an input's elements make together for each of these: their sums,
/// in double, or what else R makes of numbers of A.
template <class R, class A>
class Folded {
  using S = std::conditional_t<sums_round<R, A>, double, A>;

 public:
  Folded(const Broadcast& loop, int k, std::int64_t block)
      : loop_(loop),
        k_(k),
        is_same_(loop.moves(k) && is_same_in_blocks(loop, k)),
        folded_(is_same_ ? std::min(block, loop.size) : loop.sizes[k]) {
    std::fill_n(folded_.data(), folded_.vec().size, R::template identity<S>);
  }

  /// Puts in what elements [first, first + size) of the result have for it.
  void add(std::int64_t first, std::int64_t size, const A* values) {
    if (is_same_) {  // one for each place in a block
      put_in(folded_.data(), values, size);
    } else {
      fold(first, size, values, folded_.data());
    }
  }
  void add(const Folded& other) { put_in(folded_.data(), other.folded_.data(), folded_.vec().size); }

  /// Writes what came out for each of the input's elements.
  template <class Y>
  void write(Y* y) const {
    for_all([y](std::int64_t i, S value) { y[i] = static_cast<Y>(static_cast<reduction_t<Y>>(value)); });
  }
  /// Adds it to the input's gradient.
  template <class T>
  void add_to(const Gradient<Vec<T>>& gradient) const {
    for_all([&](std::int64_t i, S sum) {
      const A before = gradient.fresh ? A(0) : static_cast<A>(gradient.data[i]);
      gradient.data[i] = static_cast<T>(before + static_cast<A>(sum));
    });
  }

 private:
  template <class X>
  static void put_in(S* to, const X* values, std::int64_t size) {
    constexpr R together;
    CRIA_SIMD
    for (std::int64_t i = 0; i < size; ++i) to[i] = together(to[i], static_cast<S>(values[i]));
  }
  template <class X>
  [[gnu::noinline]] void fold(std::int64_t first, std::int64_t size, const X* values, S* to) const {
    const bool moves = loop_.moves(k_);
    for_each_run(loop_, k_, first, size, [=](std::int64_t position, std::int64_t offset, std::int64_t count) {
      if (moves) {
        put_in(to + offset, values + position, count);
      } else {
        to[offset] = R()(to[offset], static_cast<S>(fold_run<R>(count, ops::Identity{}, values + position)));
      }
    });
  }
  /// Calls put(i, value) for each of the input's elements.
  template <class F>
  void for_all(F put) const {
    const std::int64_t size = loop_.sizes[k_];
    if (!is_same_) {
      for (std::int64_t i = 0; i < size; ++i) put(i, folded_.data()[i]);
      return;
    }
    const Scratch<S> of_element(size);
    std::fill_n(of_element.data(), size, R::template identity<S>);
    fold(0, folded_.vec().size, folded_.data(), of_element.data());
    for (std::int64_t i = 0; i < size; ++i) put(i, of_element.data()[i]);
  }

  const Broadcast& loop_;
  int k_;
  bool is_same_;
  Scratch<S> folded_;
};

/// The gradient of an input, to which the blocks of a thread add.
template <class X>
class GradientBlocks {
  using A = acc_t<X>;

 public:
  explicit GradientBlocks(const InputOf<Gradient<Vec<X>>>& input)
      : gradient_(input.data), is_whole_(input.loop.is_whole[input.k]) {
    if (gradient_ && !is_whole_) sums_.emplace(input.loop, input.k, input.block);
    if (!is_in_place()) memory_.emplace(input.block);
  }

  /// Where the derivatives of the block that begins at `first` are to be written, times the result's
  /// gradient.
  A* target(std::int64_t first) {
    if constexpr (std::is_same_v<A, X>) {
      if (is_in_place()) return gradient_.data + first;
    }
    return memory_->data();
  }
  /// Adds what was written there.
  void add(std::int64_t first, std::int64_t size) {
    if (!gradient_ || is_in_place()) return;
    if (sums_) return sums_->add(first, size, memory_->data());
    X* to = gradient_.data + first;
    if (gradient_.fresh) return convert_range(memory_->data(), to, size);
    map_range(
        0, size, true, Vec<X>{to, size}, [](A d) { return d; }, Vec<const A>{memory_->data(), size});
  }
  /// Takes over what another thread's blocks have added.
  void add(const GradientBlocks& other) {
    if (sums_) sums_->add(*other.sums_);
  }
  /// After the last block of all threads.
  void finish() const {
    if (sums_) sums_->add_to(gradient_);
  }

 private:
  /// Whether a block's derivatives are all of the gradient.
  bool is_in_place() const { return std::is_same_v<A, X> && gradient_ && gradient_.fresh && is_whole_; }

  Gradient<Vec<X>> gradient_;
  bool is_whole_;
  std::optional<Folded<ops::Total, A>> sums_;  // of an input that is repeated
  std::optional<Scratch<A>> memory_;           // the derivatives of a block
};

/// Integers and masks have none.
template <class X>
requires(!FloatingPoint<X>) class GradientBlocks<X> {
 public:
  explicit GradientBlocks(const InputOf<Gradient<Vec<X>>>&) {}
  std::nullptr_t target(std::int64_t) { return nullptr; }
  void add(std::int64_t, std::int64_t) {}
  void add(const GradientBlocks&) {}
  void finish() const {}
};

/// Threads for the gradients of the `wanted` inputs: each has sums of its own for what is repeated, which
/// together are to be no larger than the result.
inline int threads_for_gradients(const Broadcast& loop, std::initializer_list<bool> wanted) {
  std::int64_t most = std::max<std::int64_t>(loop.size / elementwise_grain, 1);
  for (int k = 0; k < loop.inputs; ++k) {
    if (!wanted.begin()[k] || loop.is_whole[k] || is_same_in_blocks(loop, k)) continue;
    most = std::clamp<std::int64_t>(loop.size / std::max<std::int64_t>(loop.sizes[k], 1), 1, most);
  }
  return static_cast<int>(std::min<std::int64_t>(most, available_threads()));
}

}  // namespace cria::cpu
