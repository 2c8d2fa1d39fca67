#pragma once
/// CPU kernels of the operations on each element alone.

#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "cria/backend/cpu/broadcast.hpp"
#include "cria/core/formula.hpp"
#include "cria/core/operations.hpp"

namespace cria {

namespace cpu {

/// y[i] = f(x[i]...). Flattened, because a call that is not inlined would keep the loop from being
/// vectorised.
template <class A, class F, class... X>
[[gnu::flatten]] void formula_block(std::int64_t size, F f, A* y, const X*... x) {
  CRIA_SIMD
  for (std::int64_t i = 0; i < size; ++i) y[i] = formula::value<A>(f(formula::number(x[i])...));
}

template <int K, class X, class A, class Y>
CRIA_INLINE void write_derivative(A dy, const Y& y, A* to) {
  if constexpr (FloatingPoint<X>) *to = dy * formula::derivative<K, A>(y);
}
/// The step of the loop below. A function, since variables of its own would keep the loop from being
/// vectorised.
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

}  // namespace cpu

template <>
struct kernel<ops::Map, Cpu> {
  template <class F, int N, class Y, class... X>
  static void forward(F f, const Broadcast<N>& loop, Vec<Y> y, Vec<const X>... x) {
    const std::int64_t block = cpu::block_of(loop);
    const std::int64_t blocks = (loop.size + block - 1) / block;
    cpu::parallel_for(blocks, cpu::elementwise_grain / block, [&](std::int64_t begin, std::int64_t end) {
      int k = 0;
      std::tuple<cpu::InputBlocks<X, N>...> inputs{cpu::InputOf<const X*, N>{loop, k++, x.data, block}...};
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
    const int threads = cpu::threads_for_gradients(loop, {static_cast<bool>(std::get<K>(dx))...});
    std::vector<std::optional<std::tuple<cpu::GradientBlocks<X, N>...>>> gradients(
        static_cast<std::size_t>(threads));
    const auto run = [&](int thread) {
      auto& own = gradients[static_cast<std::size_t>(thread)].emplace(
          cpu::InputOf<Gradient<Vec<X>>, N>{loop, K, std::get<K>(dx), block}...);
      std::tuple<cpu::InputBlocks<X, N>...> inputs{
          cpu::InputOf<const X*, N>{loop, K, std::get<K>(x).data, block}...};
      const cpu::Input<T> gradient_of_y(block);
      const std::int64_t end = std::min(blocks * (thread + 1) / threads * block, loop.size);
      for (std::int64_t first = blocks * thread / threads * block; first < end; first += block) {
        const std::int64_t size = std::min(block, loop.size - first);
        A* const d[] = {std::get<K>(own).target(first)...};
        cpu::derivatives_block<A>(all, size, f, gradient_of_y.read(dy.data + first, size), d,
                                  std::get<K>(inputs).read(first, size)...);
        (std::get<K>(own).add(first, size), ...);
      }
    };
    if (threads == 1) {
      run(0);
    } else {
      run_on_threads(threads, run);
    }
    auto& total = *gradients.front();
    for (std::size_t thread = 1; thread < gradients.size(); ++thread) {
      (std::get<K>(total).add(std::get<K>(*gradients[thread])), ...);
    }
    (std::get<K>(total).finish(), ...);
  }
};

}  // namespace cria
