#pragma once
/// Derivatives by finite differences.

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

#include "cria/core/random.hpp"
#include "support/compare.hpp"

namespace cria::test {

/// The derivatives of f at x along the directions, by central differences. `f` takes Values and returns a
/// double.
template <class F>
Values finite_differences(F f, const Values& x, const std::vector<Values>& directions) {
  constexpr double step = 1e-5;  // truncation and rounding errors both come to about 1e-10
  Values result;
  for (const Values& direction : directions) {
    const auto moved = [&](double by) {
      Values to = x;
      for (std::size_t i = 0; i < x.size(); ++i) to[i] += by * direction[i];
      return to;
    };
    result.push_back((f(moved(step)) - f(moved(-step))) / (2 * step));
  }
  return result;
}

/// The derivatives along the directions, from the gradient.
inline Values along(const std::vector<Values>& directions, const Values& gradient) {
  Values result;
  for (const Values& direction : directions) {
    result.push_back(std::inner_product(direction.begin(), direction.end(), gradient.begin(), 0.0));
  }
  return result;
}

/// Three directions in which every element moves, each differently, so that a wrong one is seen; and up to
/// six in which one element moves, spread evenly, so that it may be seen where.
inline std::vector<Values> directions(std::size_t size) {
  std::vector<Values> result;
  if (size == 0) return result;
  Rng rng(size);
  for (int direction = 0; direction < 3; ++direction) {
    Values all;
    for (std::size_t i = 0; i < size; ++i) {
      const double number = rng.uniform();
      all.push_back(number < 0.5 ? number + 0.5 : -number);  // 0.5 to 1 of either sign
    }
    result.push_back(all);
  }
  const std::size_t alone = std::min<std::size_t>(size, 6);
  for (std::size_t i = 0; i < alone; ++i) {
    Values one(size);
    one[i * size / alone] = 1;
    result.push_back(one);
  }
  return result;
}

}  // namespace cria::test
