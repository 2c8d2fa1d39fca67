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

/// Computes y block by block: formula(size, y, x...) makes a block's elements from those of the inputs. This
/// is compiled for the types of elements, and the formula for a block alone.
template <class Y, class... X>
void map_blocks(const Broadcast& loop,
                FunctionReference<std::int64_t, acc_t<Y>*, const input_t<X>*...> formula, Vec<Y> y,
                Vec<const X>... x) {
  const std::int64_t block = block_of(loop);
  const std::int64_t blocks = (loop.size + block - 1) / block;
  parallel_for(blocks, elementwise_grain / block, [&](std::int64_t begin, std::int64_t end) {
    int k = 0;
    std::tuple<InputBlocks<X>...> inputs{InputOf<const X*>{loop, k++, x.data, block}...};
    const Wide<Y> after(block);
    for (std::int64_t first = begin * block; first < std::min(end * block, loop.size); first += block) {
      const std::int64_t size = std::min(block, loop.size - first);
      Y* to = y.data + first;
      std::apply([&](auto&... input) { formula(size, after.target(to), input.read(first, size)...); },
                 inputs);
      after.write(to, size);
    }
  });
}

/// Adds to the gradients block by block: derivatives(size, dy, d, x...) writes what a block has for input k
/// to d[k].
template <int... K, class T, class... X>
void gradient_blocks(
    std::integer_sequence<int, K...>, const Broadcast& loop,
    FunctionReference<std::int64_t, const input_t<T>*, acc_t<T>* const*, const input_t<X>*...> derivatives,
    Vec<const T> dy, const std::tuple<Vec<const X>...>& x, const std::tuple<Gradient<Vec<X>>...>& dx) {
  const std::int64_t block = block_of(loop);
  const std::int64_t blocks = (loop.size + block - 1) / block;
  const int threads = threads_for_gradients(loop, {static_cast<bool>(std::get<K>(dx))...});
  std::vector<std::optional<std::tuple<GradientBlocks<X>...>>> gradients(static_cast<std::size_t>(threads));
  const auto run = [&](int thread) {
    auto& own = gradients[static_cast<std::size_t>(thread)].emplace(
        InputOf<Gradient<Vec<X>>>{loop, K, std::get<K>(dx), block}...);
    std::tuple<InputBlocks<X>...> inputs{InputOf<const X*>{loop, K, std::get<K>(x).data, block}...};
    const Input<T> gradient_of_y(block);
    const std::int64_t end = std::min(blocks * (thread + 1) / threads * block, loop.size);
    for (std::int64_t first = blocks * thread / threads * block; first < end; first += block) {
      const std::int64_t size = std::min(block, loop.size - first);
      acc_t<T>* const d[] = {std::get<K>(own).target(first)...};
      derivatives(size, gradient_of_y.read(dy.data + first, size), d,
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

}  // namespace cpu

template <>
struct kernel<ops::Map, Cpu> {
  template <class F, class Y, class... X>
  static void forward(F f, const Broadcast& loop, Vec<Y> y, Vec<const X>... x) {
    const auto formula = [&f](std::int64_t size, acc_t<Y>* to, const cpu::input_t<X>*... block) {
      cpu::formula_block(size, f, to, block...);
    };
    cpu::map_blocks<Y, X...>(loop, formula, y, x...);
  }

  template <class F, class T, class... X>
  static void backward(F f, const Broadcast& loop, Vec<const T> dy, const std::tuple<Vec<const X>...>& x,
                       const std::tuple<Gradient<Vec<X>>...>& dx) {
    constexpr std::make_integer_sequence<int, static_cast<int>(sizeof...(X))> all{};
    const auto derivatives = [&f, all](std::int64_t size, const cpu::input_t<T>* of_y, acc_t<T>* const* d,
                                       const cpu::input_t<X>*... block) {
      cpu::derivatives_block<acc_t<T>>(all, size, f, of_y, d, block...);
    };
    cpu::gradient_blocks(all, loop, derivatives, dy, x, dx);
  }
};

}  // namespace cria
