#pragma once
/// Derivatives by finite differences.

#include <algorithm>
#include <cstddef>
#include <vector>

#include "support/compare.hpp"

namespace cria::test {

/// d f / d x[i] by central differences, for the i in `at`. `f` takes Values and returns a double.
template <class F>
Values finite_differences(F f, const Values& x, const std::vector<std::size_t>& at) {
  constexpr double step = 1e-5;  // truncation and rounding errors both come to about 1e-10
  Values result;
  Values moved = x;
  for (const std::size_t i : at) {
    moved[i] = x[i] + step;
    const double above = f(moved);
    moved[i] = x[i] - step;
    const double below = f(moved);
    moved[i] = x[i];
    result.push_back((above - below) / (2 * step));
  }
  return result;
}

/// At most `count` of the indices [0, size), spread evenly.
inline std::vector<std::size_t> spread(std::size_t size, std::size_t count) {
  std::vector<std::size_t> result;
  const std::size_t taken = std::min(size, count);
  for (std::size_t i = 0; i < taken; ++i) result.push_back(i * size / taken);
  return result;
}

}  // namespace cria::test
