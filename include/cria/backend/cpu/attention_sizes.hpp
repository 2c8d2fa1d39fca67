#pragma once
/// What both directions of attention have in common.
///
/// Names: Q, K and V are queries, keys and values, one position in a row; O is the output, S = scale Q K^T
/// the scores and P the probabilities; dX is the gradient of X. What is called x_t is transposed, a position
/// in each column. Operands of products are factors (factor.hpp).

#include <cmath>
#include <cstdint>
#include <limits>

#include "cria/backend/cpu/factor.hpp"
#include "cria/core/dtype.hpp"
#include "cria/core/view.hpp"

namespace cria::cpu::attention {

inline constexpr std::int64_t tile = 32;   // positions in the lanes of registers
inline constexpr std::int64_t block = 64;  // queries whose scores for a tile of keys stay in cache

template <class A>
inline constexpr A infinity = std::numeric_limits<A>::infinity();

/// The sizes that forward and backward share.
template <class T>
struct Sizes {
  using F = factor_t<T>;

  std::int64_t group;     // query heads to a key/value head
  std::int64_t dim;       // numbers in a head
  std::int64_t depth;     // factors in a head
  std::int64_t keys;      // their number rounded up to whole tiles
  std::int64_t keys_row;  // from a row of keys to the next: an odd number of cache lines, so that a tile's
                          // rows do not meet in one set of a cache
  std::int64_t offset;    // position of query 0 among the keys
  acc_t<T> scale;         // of scores

  Sizes(const Heads<const T>& q, const Heads<const T>& k)
      : group(q.heads / k.heads),
        dim(q.dim),
        depth(factors_for<F>(dim)),
        keys((k.length + tile - 1) / tile * tile),
        keys_row(keys + 64 / static_cast<std::int64_t>(sizeof(F))),
        offset(k.length - q.length),
        scale(acc_t<T>(1) / std::sqrt(static_cast<acc_t<T>>(dim))) {}
};

}  // namespace cria::cpu::attention
