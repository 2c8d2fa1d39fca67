#pragma once
/// CPU kernels of the operations on each element alone.

#include <array>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "cria/backend/cpu/broadcast.hpp"
#include "cria/core/formula.hpp"
#include "cria/core/operations.hpp"

namespace cria {

namespace cpu {

/// y[i] = f(x[i]...). Flattened, because a call that is not inlined would keep the loop from being vectorised.
template <class A, class F, class... X>
[[gnu::flatten]] void formula_block(std::int64_t size, F f, A* y, const X*... x) {
  CRIA_SIMD
  for (std::int64_t i = 0; i < size; ++i) y[i] = formula::value<A>(f(formula::number(x[i])...));
}

template <int K, class X, class A, class Y>
CRIA_INLINE void write_derivative(A dy, const Y& y, A* to) {
  if constexpr (FloatingPoint<X>) *to = dy * formula::derivative<K, A>(y);
}
/// The step of the loop below. A function, since variables of its own would keep the loop from being vectorised.
template <class A, class F, int... K, class... X>
CRIA_INLINE void write_derivatives(std::integer_sequence<int, K...>, const F& f, A dy, A* const* d,
                                   std::int64_t i, X... x) {
  const auto y = formula::differentiate(f, x...);
  (write_derivative<K, X>(dy, y, d[K] + i), ...);
}

/// d[k][i] = dy[i] * d f(x[i]...) / d x[k][i], for every input of a floating-point type.
template <class A, class F, class T, int... K, class... X>
[[gnu::flatten]] void derivatives_block(std::integer_sequence<int, K...> all, std::int64_t size, F f,
                                        const T* dy, A* const* d, const X*... x) {
  A* const to[] = {d[K]...};
  CRIA_SIMD
  for (std::int64_t i = 0; i < size; ++i) write_derivatives<A>(all, f, static_cast<A>(dy[i]), to, i, x[i]...);
}

/// gradient[i] += values[i]; or they are written there if it is fresh, unless they are there already.
template <class T, class A>
void add_block(const Gradient<Vec<T>>& gradient, std::int64_t first, std::int64_t size, const A* values,
               const Wide<T>& room) {
  T* to = gradient.data + first;
  if (static_cast<const void*>(to) == values) return;
  if (gradient.fresh) return convert_range(values, to, size);
  const A* before = room.read(to, size);
  A* after = room.target(to);
  CRIA_SIMD
  for (std::int64_t i = 0; i < size; ++i) after[i] = before[i] + values[i];
  room.write(to, size);
}

}  // namespace cpu

template <>
struct kernel<ops::Map, Cpu> {
  template <class F, int N, class Y, class... X>
  static void forward(F f, const Broadcast<N>& loop, Vec<Y> y, Vec<const X>... x) {
    const std::int64_t block = cpu::block_of(loop);
    const std::int64_t blocks = (loop.size + block - 1) / block;
    cpu::parallel_for(blocks, cpu::elementwise_grain / block, [&](std::int64_t begin, std::int64_t end) {
      int k = 0;
      std::tuple<cpu::InputBlocks<X, N>...> inputs{cpu::BroadcastInput<X, N>{loop, k++, x.data, block}...};
      const cpu::Wide<Y> after(block);
      for (std::int64_t first = begin * block; first < std::min(end * block, loop.size); first += block) {
        const std::int64_t size = std::min(block, loop.size - first);
        Y* to = y.data + first;
        std::apply(
            [&](auto&... input) {
              cpu::formula_block(size, f, after.target(to), input.read(first, size)...);
            },
            inputs);
        after.write(to, size);
      }
    });
  }

  template <class F, int N, class T, class... X>
  static void backward(F f, const Broadcast<N>& loop, Vec<const T> dy, const std::tuple<Vec<const X>...>& x,
                       const std::tuple<Gradient<Vec<X>>...>& dx) {
    backward(std::make_integer_sequence<int, N>(), f, loop, dy, x, dx);
  }

 private:
  template <int... K, class F, int N, class T, class... X>
  static void backward(std::integer_sequence<int, K...> all, F f, const Broadcast<N>& loop, Vec<const T> dy,
                       const std::tuple<Vec<const X>...>& x, const std::tuple<Gradient<Vec<X>>...>& dx) {
    using A = acc_t<T>;
    const std::int64_t block = cpu::block_of(loop);
    const std::int64_t blocks = (loop.size + block - 1) / block;
    // Each thread has sums of its own for what is repeated; together they are to be no larger than the result.
    std::int64_t most = std::max<std::int64_t>(blocks * block / cpu::elementwise_grain, 1);
    (
        [&] {
          if (std::get<K>(dx) && !loop.is_whole[K] && !cpu::is_same_in_blocks(loop, K)) {
            most = std::min(most,
                            std::max<std::int64_t>(loop.size / std::max<std::int64_t>(loop.sizes[K], 1), 1));
          }
        }(),
        ...);
    const int threads = static_cast<int>(std::min<std::int64_t>(most, cpu::available_threads()));
    using Sums = std::array<std::optional<cpu::Folded<N>>, static_cast<std::size_t>(N)>;
    std::vector<Sums> sums(static_cast<std::size_t>(threads));
    const auto run = [&](int thread) {
      Sums& own = sums[static_cast<std::size_t>(thread)];
      (
          [&] {
            if (std::get<K>(dx) && !loop.is_whole[K]) own[K].emplace(loop, K, block);
          }(),
          ...);
      std::tuple<cpu::InputBlocks<X, N>...> inputs{
          cpu::BroadcastInput<X, N>{loop, K, std::get<K>(x).data, block}...};
      const cpu::Input<T> gradient_of_y(block);
      const cpu::Scratch<A> memory(N * std::min(block, loop.size));
      const std::tuple<cpu::Wide<X>...> rooms((static_cast<void>(K), block)...);
      const std::int64_t end = std::min(blocks * (thread + 1) / threads * block, loop.size);
      for (std::int64_t first = blocks * thread / threads * block; first < end; first += block) {
        const std::int64_t size = std::min(block, loop.size - first);
        A* const d[] = {target<A>(std::get<K>(dx), loop.is_whole[K], first,
                                  memory.data() + K * std::min(block, loop.size))...};
        cpu::derivatives_block<A>(all, size, f, gradient_of_y.read(dy.data + first, size), d,
                                  std::get<K>(inputs).read(first, size)...);
        (
            [&] {
              if constexpr (FloatingPoint<X>) {
                if (!std::get<K>(dx)) return;
                if (loop.is_whole[K]) {
                  cpu::add_block(std::get<K>(dx), first, size, d[K], std::get<K>(rooms));
                } else {
                  own[K]->add(first, size, d[K]);
                }
              }
            }(),
            ...);
      }
    };
    if (threads == 1) {
      run(0);
    } else {
      cpu::run_on_threads(threads, run);
    }
    (
        [&] {
          if constexpr (FloatingPoint<X>) {
            if (!std::get<K>(dx) || loop.is_whole[K]) return;
            for (int thread = 1; thread < threads; ++thread) {
              sums[0][K]->add(*sums[static_cast<std::size_t>(thread)][K]);
            }
            sums[0][K]->finish(std::get<K>(dx));
          }
        }(),
        ...);
  }

  /// Where a block's derivatives are written: into the gradient itself if they are all of it.
  template <class A, class X>
  static A* target(const Gradient<Vec<X>>& dx, bool is_whole, std::int64_t first, A* memory) {
    if constexpr (std::is_same_v<A, X>) {
      if (dx && dx.fresh && is_whole) return dx.data + first;
    }
    return memory;
  }
};

}  // namespace cria
