#pragma once
/// What attention's tiles of queries have in common, however their scores [keys, Size] are computed.

#include <algorithm>
#include <cstdint>
#include <limits>

#include "cria/backend/cpu/convert.hpp"
#include "cria/core/dtype.hpp"
#include "cria/core/view.hpp"

namespace cria::cpu {

/// Queries [first, first + queries), at most Size, and how many keys the last of them sees.
template <std::int64_t Size>
struct AttentionTile {
  std::int64_t first;
  std::int64_t queries;
  std::int64_t offset;  // position of query 0 among the keys
  std::int64_t keys;

  AttentionTile(std::int64_t length, std::int64_t key_length, std::int64_t first_query)
      : first(first_query),
        queries(std::min(Size, length - first_query)),
        offset(key_length - length),
        keys(offset + first + queries) {}

  /// Makes the scores [rows, Size] of keys that come after the query minus infinity. Rows from `keys` on are
  /// those of no key. Columns from `queries` on are those of no query, and nobody reads what comes of them.
  template <class A>
  void hide_later_keys(Rows<A> score) const {
    for (std::int64_t j = first + offset + 1; j < score.rows; ++j) {
      const std::int64_t blind = std::min(j - first - offset, Size);  // queries before key j
      std::fill_n(score.row(j), blind, -std::numeric_limits<A>::infinity());
    }
  }
};

/// Adds rows to the positions from `first` of one head, or overwrites these if they are fresh. Uses the rows'
/// memory.
template <class T, class A>
void add_to_head(Rows<A> rows, const Gradient<Heads<T>>& sum, std::int64_t b, std::int64_t h,
                 std::int64_t first) {
  for (std::int64_t t = 0; t < rows.rows; ++t) {
    A* row = rows.row(t);
    T* to = sum.at(b, first + t, h);
    if (!sum.fresh) {
      for (std::int64_t d = 0; d < sum.dim; ++d) row[d] += static_cast<A>(to[d]);
    }
    convert_range(row, to, sum.dim);
  }
}

}  // namespace cria::cpu
