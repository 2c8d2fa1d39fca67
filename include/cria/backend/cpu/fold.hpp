#pragma once
/// What numbers that lie one after the other make together, in registers.

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "cria/backend/cpu/lanes.hpp"
#include "cria/core/formulas.hpp"
#include "cria/core/reductions.hpp"

namespace cria::cpu {

/// What a function of two registers, or of two numbers, makes of a register's numbers.
template <int half, class A, class F>
A fold_lanes(Lanes<A> x, F together) {
  if constexpr (half == 0) {
    return x[0];
  } else {
    return fold_lanes<half / 2, A>(together(x, rotated<half, A>(x)), together);
  }
}

/// What R makes of f(x[i]...), number by number.
template <class R, class F, class A, class... X>
A fold_numbers(std::int64_t size, F f, const A* x, const X*... more) {
  A folded = R::template identity<A>;
  for (std::int64_t i = 0; i < size; ++i) folded = R()(folded, f(x[i], more[i]...));
  return folded;
}

/// Whether R chooses one of two numbers.
template <class R, class A>
concept Chooses = requires(A a) {
  R::of_numbers(a, a);
};

/// The same for at least a registerful of numbers, in so many registers that do not wait for each other. f is
/// of operators alone, and takes registers as it takes numbers. Where R chooses, NaN is looked for aside: what
/// was chosen last is summed up, and the sum is NaN if one was among it, or infinities of both signs.
template <class R, int registers, class F, class A, class... X>
[[gnu::noinline]] A fold_registers(std::int64_t size, F f, const A* x, const X*... more) {
  constexpr bool looks_for_nan = Chooses<R, A> && std::is_floating_point_v<A>;
  constexpr std::int64_t lanes = lane_count<A>;
  constexpr int half = static_cast<int>(lanes / 2);
  const auto together = [](auto a, auto b) {
    if constexpr (Chooses<R, A>) {
      return R::of_numbers(a, b);
    } else {
      return R()(a, b);
    }
  };
  const auto value = [&](std::int64_t i) { return f(load_lanes(x + i), load_lanes(more + i)...); };
  Lanes<A> part[registers], sums[4] = {};
  for (auto& lane : part) lane = Lanes<A>{} + R::template identity<A>;
  const auto put_in = [&](int r, Lanes<A> numbers) {
    part[r] = together(part[r], numbers);
    if constexpr (looks_for_nan) sums[r % 4] += part[r];
  };
  std::int64_t i = 0;
  for (; i + registers * lanes <= size; i += registers * lanes) {
#pragma GCC unroll 8
    for (int r = 0; r < registers; ++r) put_in(r, value(i + r * lanes));
  }
  for (int r = 1; r < registers; ++r) part[0] = together(part[0], part[r]);
  for (; i + lanes <= size; i += lanes) put_in(0, value(i));
  if (i < size) {  // of the last registerful, what is left
    put_in(0, from_lane<A>(lanes - (size - i), value(size - lanes), R::template identity<A>));
  }
  if constexpr (looks_for_nan) {
    const A sum = fold_lanes<half, A>(sums[0] + sums[1] + (sums[2] + sums[3]), ops::Total());
    if (sum != sum) return fold_numbers<R>(size, f, x, more...);
  }
  return fold_lanes<half, A>(part[0], together);
}
/// The same for up to a block of numbers, so few that a sum of them loses nothing.
template <class R, class F, class A, class... X>
A fold_run(std::int64_t size, F f, const A* x, const X*... more) {
#ifndef __CUDA_ARCH__  // nvcc's pass for devices reads this, too, and has no registers of numbers
  if (size >= 8 * lane_count<A>) return fold_registers<R, 8>(size, f, x, more...);
  if (size >= lane_count<A>) return fold_registers<R, 1>(size, f, x, more...);
#endif
  return fold_numbers<R>(size, f, x, more...);
}

/// The sum of f(x[i]...) for any number of them.
template <class F, class A, class... X>
A sum_of(std::int64_t size, F f, const A* x, const X*... more) {
  constexpr std::int64_t block = 1024;
  double sum = 0;
  for (std::int64_t i = 0; i < size; i += block) {
    sum += static_cast<double>(fold_run<ops::Total>(std::min(block, size - i), f, x + i, (more + i)...));
  }
  return static_cast<A>(sum);
}

}  // namespace cria::cpu
