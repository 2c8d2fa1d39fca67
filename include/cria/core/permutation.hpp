#pragma once

#include <cstddef>
#include <numeric>
#include <utility>
#include <vector>

#include "cria/core/random.hpp"

namespace cria {

/// 0 .. size - 1 in random order (Fisher and Yates), which depends on the stream and `size` alone.
inline std::vector<std::size_t> permutation(Rng rng, std::size_t size) {
  std::vector<std::size_t> order(size);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t last = size; last > 1; --last) std::swap(order[last - 1], order[rng.below(last)]);
  return order;
}

}  // namespace cria
