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

/// score = P and dscore = scale dS, given scores without their scale and dP.
template <class A>
void score_gradients(std::int64_t rows, A scale, const A* log_sum, const A* delta, A* score, A* dscore) {
  const A scale_2 = scale * std::numbers::log2e_v<A>;
  for (std::int64_t i = 0; i < rows; ++i) {
    A *s = score + i * tile, *ds = dscore + i * tile;
    const A log_sum_2 = log_sum[i] * std::numbers::log2e_v<A>, scaled_delta = delta[i] * scale;
    CRIA_SIMD
    for (std::int64_t l = 0; l < tile; ++l) {
      s[l] = math::exp2_up_to_127(s[l] * scale_2 - log_sum_2);
      ds[l] = s[l] * (ds[l] * scale - scaled_delta);
    }
  }
}

/// dot[i] = sum over d of a[d, i] b[d, i], a and b [depth, block].
template <class F>
void dot_columns(const F* a, const F* b, std::int64_t depth, sum_t<F>* dot) {
  for (std::int64_t i = 0; i < block; i += lane_count<F>) {
    Lanes<sum_t<F>> sum{};
    for (std::int64_t d = i; d < depth * block; d += block) {
      sum = multiply_add<F>(load_lanes(a + d), load_lanes(b + d), sum);
    }
    store_lanes(sum, dot + i);
  }
}

/// What a thread needs for backward: all keys and values of a head with their gradients, and a block of
/// queries of its group. With delta = sum over d of dO O: dV = P^T dO, dP = dO V^T, dS = P (dP - delta),
/// dQ = scale dS K and dK = scale dS^T Q.
template <class T>
struct Backward {
  using A = acc_t<T>;
  using F = factor_t<T>;

  Heads<const T> dy, q, k, v, y;
  Vec<const A> log_sum;
  Gradient<Heads<T>> dq, dk, dv;
  Sizes<T> size{q, k};

  std::int64_t row = size.group * size.dim;  // the group's heads of a position
  std::int64_t padded_dim = padded<A>(size.dim);
  std::int64_t dquery_row = row - size.dim + padded_dim;  // products write whole registers
  Scratch<F> key_t{size.depth * size.keys_row};           // [depth, keys]
  Scratch<F> value_t{size.depth * size.keys_row};         // [depth, keys]
  Scratch<F> key_memory{factors_for<F>(size.keys) * padded_dim};
  FactorRows<F> key{};                                  // [factors of keys, padded_dim], zeros at the end
  Scratch<A> dkey_t{size.dim * size.keys_row};          // [dim, keys]
  Scratch<A> dvalue_t{size.dim * size.keys_row};        // [dim, keys]
  Scratch<F> query_t{size.group * size.depth * block};  // [group depth, block]
  Scratch<F> dout_t{size.group * size.depth * block};   // [group depth, block]
  Scratch<F> out_t{size.group * size.depth * block};    // [group depth, block]
  Scratch<F> query_memory{factors_for<F>(block) * row};
  Scratch<F> dout_memory{factors_for<F>(block) * row};
  FactorRows<F> query{}, dout{};                         // [factors of block, row]
  Scratch<A> dquery{block * dquery_row};                 // [block, dquery_row]
  Scratch<A> score{block * tile}, dscore{block * tile};  // [block, tile]
  Scratch<F> packed{factors_for<F>(block * tile)};       // of one of these two
  Scratch<A> gradient_rows{block * padded_dim};

  /// The gradients of key/value head kv of sequence b, and of the queries that read it.
  void run(std::int64_t b, std::int64_t kv) {
    const std::int64_t head = kv * size.group;
    load_keys(b, kv);
    for (std::int64_t first = 0; first < q.length; first += block) {
      const std::int64_t count = std::min(block, q.length - first);
      load_queries(b, head, first, padded<F>(count));
      for (std::int64_t h = 0; h < size.group; ++h) {
        differentiate(h, first, count, log_sum.data + (b * q.heads + head + h) * q.length + first);
      }
      if (dq) {
        add_rows(dquery.data(), dquery_row, count, HeadRows<T>(dq, b, head, size.group), dq.fresh, first);
      }
    }
    add_gradient(dkey_t.data(), dk, b, kv);
    add_gradient(dvalue_t.data(), dv, b, kv);
  }

  void load_keys(std::int64_t b, std::int64_t kv) {
    const HeadRows<const T> keys(k, b, kv, 1), values(v, b, kv, 1);
    load_transposed(keys, 0, size.keys, key_t.data(), size.keys_row);
    load_transposed(values, 0, size.keys, value_t.data(), size.keys_row);
    key = load_rows(keys, 0, size.keys, padded_dim, key_memory.data());
    std::fill_n(dkey_t.data(), size.dim * size.keys_row, A(0));
    std::fill_n(dvalue_t.data(), size.dim * size.keys_row, A(0));
  }

  /// A block of queries from `first` on, with O and dO.
  void load_queries(std::int64_t b, std::int64_t head, std::int64_t first, std::int64_t padded_count) {
    const HeadRows<const T> queries(q, b, head, size.group), outs(y, b, head, size.group),
        douts(dy, b, head, size.group);
    load_transposed(queries, first, block, query_t.data(), block);
    load_transposed(douts, first, block, dout_t.data(), block);
    load_transposed(outs, first, block, out_t.data(), block);
    query = load_rows(queries, first, padded_count, row, query_memory.data());
    dout = load_rows(douts, first, padded_count, row, dout_memory.data());
    std::fill_n(dquery.data(), block * dquery_row, A(0));
  }

  /// What queries [first, first + count) of head h of the group add to all gradients.
  void differentiate(std::int64_t h, std::int64_t first, std::int64_t count, const A* saved_log_sums) {
    const std::int64_t head_t = h * size.depth * block;
    A deltas[block], log_sums[block];
    dot_columns(dout_t.data() + head_t, out_t.data() + head_t, size.depth, deltas);
    std::copy_n(saved_log_sums, count, log_sums);
    std::fill(log_sums + count, log_sums + block, infinity<A>);  // these have no probabilities
    for (std::int64_t j = 0; j < size.offset + first + count; j += tile) {
      // Queries before `from` see no key of the tile.
      const std::int64_t hidden = std::max<std::int64_t>(j - size.offset - first, 0);
      const std::int64_t from = hidden / lane_count<F> * lane_count<F>;
      const std::int64_t rows = padded<F>(count) - from;
      compute_scores(h, j, from, rows);
      hide_later_keys(size.offset + first + from - j, rows);
      score_gradients(rows, size.scale, log_sums + from, deltas + from, score.data(), dscore.data());
      add_products(h, j, from, rows);
    }
  }

  /// S = Q K^T and dP = dO V^T of queries [from, from + rows) and the tile of keys from j on.
  void compute_scores(std::int64_t h, std::int64_t j, std::int64_t from, std::int64_t rows) {
    const std::int64_t place = h * size.depth * block + from;
    small_product<1>(rows, tile, size.depth, query_t.data() + place, block, key_t.data() + j, size.keys_row,
                     score.data(), tile, false);
    small_product<1>(rows, tile, size.depth, dout_t.data() + place, block, value_t.data() + j, size.keys_row,
                     dscore.data(), tile, false);
  }

  /// Row i sees the keys up to its own position, diagonal + i in the tile.
  void hide_later_keys(std::int64_t diagonal, std::int64_t rows) {
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t sees = std::max<std::int64_t>(diagonal + i + 1, 0);
      if (sees >= tile) break;
      std::fill(score.data() + i * tile + sees, score.data() + (i + 1) * tile, -infinity<A>);
    }
  }

  /// dV^T += dO^T P, dK^T += Q^T dS and dQ += dS K.
  void add_products(std::int64_t h, std::int64_t j, std::int64_t from, std::int64_t rows) {
    const std::int64_t depth = factors_for<F>(rows), first = factors_for<F>(from), column = h * size.dim;
    const F* p = Packing<F>::sums_down_columns(score.data(), rows, tile, packed.data());
    small_product<1>(size.dim, tile, depth, dout.at(first) + column, dout.stride, p, tile,
                     dvalue_t.data() + j, size.keys_row, true);
    const F* ds = Packing<F>::sums_down_columns(dscore.data(), rows, tile, packed.data());
    small_product<1>(size.dim, tile, depth, query.at(first) + column, query.stride, ds, tile,
                     dkey_t.data() + j, size.keys_row, true);
    // What is to the right of a head's columns gets zeros added.
    constexpr std::int64_t tile_depth = factors_for<F>(tile);
    const F* ds_rows = Packing<F>::sums_along_rows(dscore.data(), rows, tile, packed.data());
    small_product<tile_depth>(rows, padded_dim, tile_depth, ds_rows, 1, key.at(factors_for<F>(j)), key.stride,
                              dquery.data() + from * dquery_row + column, dquery_row, true);
  }

  /// Adds the sums [dim, keys] of key/value head kv to the gradient of keys or values.
  void add_gradient(const A* sums_t, const Gradient<Heads<T>>& to, std::int64_t b, std::int64_t kv) {
    if (!to) return;
    const HeadRows<T> rows(to, b, kv, 1);
    for (std::int64_t first = 0; first < k.length; first += block) {
      add_transposed(sums_t + first, size.keys_row, std::min(block, k.length - first), rows, to.fresh, first,
                     gradient_rows.data());
    }
  }
};

}  // namespace cria::cpu::attention
