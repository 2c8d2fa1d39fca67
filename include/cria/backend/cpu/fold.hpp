#pragma once
/// What numbers that lie one after the other make together, in registers.

#include <algorithm>
#include <cstdint>

#include "cria/backend/cpu/lanes.hpp"
#include "cria/core/formulas.hpp"
#include "cria/core/reductions.hpp"

namespace cria::cpu {

/// What R makes of a register's numbers.
template <class R, int half, class A>
A fold_lanes(Lanes<A> x) {
  if constexpr (half == 0) {
    return x[0];
  } else {
    return fold_lanes<R, half / 2, A>(R()(x, rotated<half, A>(x)));
  }
}

/// What R makes of f(x[i]...) for at least a registerful of numbers, in so many registers that do not wait
/// for each other. f is of operators alone, and takes registers as it takes numbers.
template <class R, int registers, class F, class A, class... X>
[[gnu::noinline]] A fold_registers(std::int64_t size, F f, const A* x, const X*... more) {
  constexpr R together;
  constexpr std::int64_t lanes = lane_count<A>;
  const auto value = [&](std::int64_t i) { return f(load_lanes(x + i), load_lanes(more + i)...); };
  Lanes<A> part[registers];
  for (auto& lane : part) lane = Lanes<A>{} + R::template identity<A>;
  std::int64_t i = 0;
  for (; i + registers * lanes <= size; i += registers * lanes) {
#pragma GCC unroll 8
    for (int r = 0; r < registers; ++r) part[r] = together(part[r], value(i + r * lanes));
  }
  for (int r = 1; r < registers; ++r) part[0] = together(part[0], part[r]);
  for (; i + lanes <= size; i += lanes) part[0] = together(part[0], value(i));
  if (i < size) {  // of the last registerful, what is left
    const Lanes<A> rest = from_lane<A>(lanes - (size - i), value(size - lanes), R::template identity<A>);
    part[0] = together(part[0], rest);
  }
  return fold_lanes<R, lanes / 2, A>(part[0]);
}
/// The same for up to a block of numbers, so few that a sum of them loses nothing.
template <class R, class F, class A, class... X>
A fold_run(std::int64_t size, F f, const A* x, const X*... more) {
  if (size >= 8 * lane_count<A>) return fold_registers<R, 8>(size, f, x, more...);
  if (size >= lane_count<A>) return fold_registers<R, 1>(size, f, x, more...);
  A folded = R::template identity<A>;
  for (std::int64_t i = 0; i < size; ++i) folded = R()(folded, f(x[i], more[i]...));
  return folded;
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
