#pragma once
/// Loops over elements. Arithmetic is done in acc_t<T>: 16-bit arrays are narrowed, and float16 is widened,
/// in blocks that stay in cache, so that a loop is the same code for every dtype and the compiler's vector
/// code is as fast for all.

#include <algorithm>
#include <tuple>
#include <type_traits>

#include "cria/backend/cpu/convert.hpp"
#include "cria/backend/cpu/cpu.hpp"
#include "cria/backend/cpu/parallel.hpp"

namespace cria::cpu {

/// Elements below which a loop stays on one thread.
inline constexpr std::int64_t elementwise_grain = 16384;
/// The same in rows, for a loop over rows.
inline std::int64_t rows_for_thread(std::int64_t cols) {
  return elementwise_grain / std::max<std::int64_t>(cols, 1) + 1;
}

/// Room for up to `size` elements of an array of T in acc_t<T>; where that is T, the array itself is used.
template <class T>
class Wide {
  using A = acc_t<T>;
  static constexpr bool is_wide = std::is_same_v<T, A>;
  struct Nothing {
    explicit Nothing(std::int64_t) {}
  };

 public:
  explicit Wide(std::int64_t size) : memory_(size) {}

  /// The elements of `from`.
  const A* read(const T* from, std::int64_t size) const {
    if constexpr (is_wide) {
      return from;
    } else {
      convert_range(from, memory_.data(), size);
      return memory_.data();
    }
  }
  /// Where to put what `write` is to bring to `to`.
  A* target(T* to) const {
    if constexpr (is_wide) {
      return to;
    } else {
      return memory_.data();
    }
  }
  void write(T* to, std::int64_t size) const {
    if constexpr (!is_wide) convert_range(memory_.data(), to, size);
  }

 private:
  std::conditional_t<is_wide, Nothing, Scratch<A>> memory_;
};

/// Stands in for Wide<T> where the loop widens each element by itself.
template <class T>
struct AsItIs {
  explicit AsItIs(std::int64_t) {}
  const T* read(const T* from, std::int64_t) const { return from; }
};

/// What loops over elements read an array of T by. Widening bfloat16 is a shift, which the compiler
/// vectorises among other arithmetic; widening float16 it does not.
template <class T>
using Input = std::conditional_t<std::is_same_v<T, float16>, Wide<T>, AsItIs<T>>;
/// The elements that it gives.
template <class T>
using input_t = std::conditional_t<std::is_same_v<T, float16>, acc_t<T>, T>;

/// y[i] = f(x[i]...), or y[i] = before[i] + f(x[i]...), where f gets acc_t. Flattened, because a call to f
/// that is not inlined would keep the loops from being vectorised.
template <class A, class F, class Before, class... X>
[[gnu::flatten]] void map_block(std::int64_t size, F f, const Before* before, A* y, const X*... x) {
  if (before) {
    CRIA_SIMD
    for (std::int64_t i = 0; i < size; ++i) {
      y[i] = static_cast<A>(before[i]) + f(static_cast<acc_t<X>>(x[i])...);
    }
  } else {
    CRIA_SIMD
    for (std::int64_t i = 0; i < size; ++i) y[i] = f(static_cast<acc_t<X>>(x[i])...);
  }
}

template <class A, class F, class X>
[[gnu::flatten]] void map_pair_block(std::int64_t size, F f, A* y1, A* y2, const X* x1, const X* x2,
                                     const X* x3) {
  CRIA_SIMD
  for (std::int64_t i = 0; i < size; ++i) {
    const auto both = f(static_cast<A>(x1[i]), static_cast<A>(x2[i]), static_cast<A>(x3[i]));
    y1[i] = both.a;
    y2[i] = both.b;
  }
}

inline constexpr std::int64_t map_block_size = 1024;

/// Calls body(first, size) for blocks of [begin, end).
template <class F>
void for_each_block(std::int64_t begin, std::int64_t end, F body) {
  for (std::int64_t first = begin; first < end; first += map_block_size) {
    body(first, std::min(map_block_size, end - first));
  }
}

/// y[i] = f(x[i]...) for i in [begin, end), or y[i] += f(x[i]...) if `accumulate`; f gets and gives acc_t.
template <class T, class F, class... X>
void map_range(std::int64_t begin, std::int64_t end, bool accumulate, Vec<T> y, F f, Vec<const X>... x) {
  const std::int64_t room = std::min(map_block_size, end - begin);
  const Wide<T> after(room);
  const Input<T> before(accumulate ? room : 0);
  const std::tuple<Input<X>...> inputs((static_cast<void>(sizeof(X)), room)...);
  for_each_block(begin, end, [&](std::int64_t first, std::int64_t size) {
    T* to = y.data + first;
    std::apply(
        [&](const Input<X>&... block) {
          map_block(size, f, accumulate ? before.read(to, size) : nullptr, after.target(to),
                    block.read(x.data + first, size)...);
        },
        inputs);
    after.write(to, size);
  });
}

/// y[i] = f(x[i]...) for all elements, on several threads where that pays.
template <class T, class F, class... X>
void map(Vec<T> y, F f, Vec<const X>... x) {
  parallel_for_elements(y.size, elementwise_grain, [=](std::int64_t begin, std::int64_t end) {
    map_range(begin, end, false, y, f, x...);
  });
}

/// sum[i] += f(x[i]...) for all elements, or sum[i] = f(x[i]...) if `sum` is fresh; nothing if it is not
/// wanted.
template <class T, class F, class... X>
void map_add(Gradient<Vec<T>> sum, F f, Vec<const X>... x) {
  if (!sum) return;
  parallel_for_elements(sum.size, elementwise_grain, [=](std::int64_t begin, std::int64_t end) {
    map_range(begin, end, !sum.fresh, Vec<T>(sum), f, x...);
  });
}

/// y1[i], y2[i] = the members a, b of f(x1[i], x2[i], x3[i]).
template <class T, class F>
void map_pair(Vec<T> y1, Vec<T> y2, F f, Vec<const T> x1, Vec<const T> x2, Vec<const T> x3) {
  parallel_for_elements(y1.size, elementwise_grain, [=](std::int64_t begin, std::int64_t end) {
    const std::int64_t room = std::min(map_block_size, end - begin);
    const Wide<T> to1(room), to2(room);
    const Input<T> from1(room), from2(room), from3(room);
    for_each_block(begin, end, [&](std::int64_t i, std::int64_t size) {
      map_pair_block(size, f, to1.target(y1.data + i), to2.target(y2.data + i), from1.read(x1.data + i, size),
                     from2.read(x2.data + i, size), from3.read(x3.data + i, size));
      to1.write(y1.data + i, size);
      to2.write(y2.data + i, size);
    });
  });
}

/// Fills a fresh gradient of `size` elements with zeros, for a kernel that adds here and there.
template <class View>
void fill_if_fresh(const Gradient<View>& sum, std::int64_t size) {
  if (sum.fresh) Cpu::fill_zero(sum.data, static_cast<std::size_t>(size) * sizeof(*sum.data));
}

}  // namespace cria::cpu
