#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "cria/backend/cpu/attention_sizes.hpp"
#include "cria/backend/cpu/head_rows.hpp"
#include "cria/backend/cpu/small_product.hpp"
#include "cria/core/config.hpp"
#include "cria/core/math.hpp"

namespace cria::cpu::attention {

/// score [rows, tile] = 2^(scale score - maximum), with the maxima of scale score and the sums of the
/// columns.
template <class A>
void exponentials(A* score, std::int64_t rows, A scale, A* maximum, A* sum) {
  std::fill_n(maximum, tile, -infinity<A>);
  std::fill_n(sum, tile, A(0));
  for (std::int64_t j = 0; j < rows; ++j) {
    const A* s = score + j * tile;
    CRIA_SIMD
    for (std::int64_t l = 0; l < tile; ++l) maximum[l] = maximum[l] > s[l] ? maximum[l] : s[l];
  }
  for (std::int64_t l = 0; l < tile; ++l) maximum[l] *= scale;
  for (std::int64_t j = 0; j < rows; ++j) {
    A* s = score + j * tile;
    CRIA_SIMD
    for (std::int64_t l = 0; l < tile; ++l) {
      s[l] = math::exp2_up_to_127(s[l] * scale - maximum[l]);
      sum[l] += s[l];
    }
  }
}

/// x [rows, tile] /= sum, column by column.
template <class A>
void divide_columns(A* x, std::int64_t rows, const A* sum) {
  A inverse[tile];
  for (std::int64_t l = 0; l < tile; ++l) inverse[l] = A(1) / sum[l];
  for (std::int64_t d = 0; d < rows; ++d) {
    CRIA_SIMD
    for (std::int64_t l = 0; l < tile; ++l) x[d * tile + l] *= inverse[l];
  }
}

/// What a thread needs for forward: all keys and values of a head, and a tile of queries of its group.
template <class T>
struct Forward {
  using A = acc_t<T>;
  using F = factor_t<T>;

  Heads<const T> q, k, v;
  Heads<T> y;
  Vec<A> log_sum;
  Sizes<T> size{q, k};

  Scratch<F> key_t{size.depth * size.keys_row};  // [depth, keys]
  Scratch<F> value_memory{factors_for<F>(size.keys) * size.dim};
  FactorRows<F> value{};                               // [factors of keys, dim]
  Scratch<F> query_t{size.group * size.depth * tile};  // [group depth, tile]
  Scratch<A> score_t{size.keys * tile};                // [keys, tile]
  Scratch<F> probability_memory{factors_for<F>(size.keys) * tile};
  Scratch<A> out_t{size.group * size.dim * tile};  // [group dim, tile]
  Scratch<A> out_rows{tile * padded<A>(size.group * size.dim)};

  /// The queries of sequence b that read key/value head kv.
  void run(std::int64_t b, std::int64_t kv) {
    const std::int64_t head = kv * size.group;
    const HeadRows<const T> queries(q, b, head, size.group);
    const HeadRows<T> outs(y, b, head, size.group);
    load_keys(b, kv);
    for (std::int64_t first = 0; first < q.length; first += tile) {
      const std::int64_t count = std::min(tile, q.length - first);
      load_transposed(queries, first, tile, query_t.data(), tile);
      for (std::int64_t h = 0; h < size.group; ++h) {
        attend(h, first, count, log_sum.data + (b * q.heads + head + h) * q.length + first);
      }
      add_transposed(out_t.data(), tile, count, outs, true, first, out_rows.data());
    }
  }

  void load_keys(std::int64_t b, std::int64_t kv) {
    const std::int64_t whole_factors = factors_for<F>(k.length) * numbers_in<F>;
    load_transposed(HeadRows<const T>(k, b, kv, 1), 0, size.keys, key_t.data(), size.keys_row);
    value = load_rows(HeadRows<const T>(v, b, kv, 1), 0, whole_factors, size.dim, value_memory.data());
  }

  /// O^T and log_sum of queries [first, first + count) of head h of the group.
  void attend(std::int64_t h, std::int64_t first, std::int64_t count, A* log_sums) {
    const F* queries_t = query_t.data() + h * size.depth * tile;
    A* outs_t = out_t.data() + h * size.dim * tile;
    // As many keys as whole factors hold.
    const std::int64_t seen = factors_for<F>(size.offset + first + count) * numbers_in<F>;
    A maximum[tile], sum[tile];
    // S^T = K Q^T, still without its scale
    small_product<1>(seen, tile, size.depth, key_t.data(), size.keys_row, queries_t, tile, score_t.data(),
                     tile, false);
    hide_later_keys(first, seen);
    exponentials(score_t.data(), seen, size.scale * std::numbers::log2e_v<A>, maximum, sum);
    // O^T = V^T P^T
    const F* probability =
        Packing<F>::sums_down_columns(score_t.data(), seen, tile, probability_memory.data());
    small_product<1>(size.dim, tile, factors_for<F>(seen), value.data, value.stride, probability, tile,
                     outs_t, tile, false);
    divide_columns(outs_t, size.dim, sum);
    for (std::int64_t l = 0; l < count; ++l) {
      log_sums[l] = maximum[l] / std::numbers::log2e_v<A> + std::log(sum[l]);
    }
  }

  /// Queries before key j do not see it.
  void hide_later_keys(std::int64_t first, std::int64_t seen) {
    const std::int64_t diagonal = size.offset + first;  // the key at the first query's own position
    for (std::int64_t j = diagonal + 1; j < seen; ++j) {
      std::fill_n(score_t.data() + j * tile, std::min(j - diagonal, tile), -infinity<A>);
    }
  }
};

}  // namespace cria::cpu::attention
