#pragma once
/// Attention on the CPU, tile by tile. A tile is 32 queries in forward and 32 keys in backward; they lie in
/// the lanes of registers, so that the softmax needs no sums across a register. The query heads that share a
/// key/value head are neighbours in memory, and are read and written together.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "cria/backend/cpu/factor.hpp"
#include "cria/backend/cpu/map.hpp"
#include "cria/backend/cpu/small_product.hpp"
#include "cria/core/math.hpp"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::Attention, Cpu> {
  template <class T, class A>
  static void forward(Heads<const T> q, Heads<const T> k, Heads<const T> v, Heads<T> y, Vec<A> log_sum) {
    using F = cpu::factor_t<T>;
    const std::int64_t group = q.heads / k.heads, dim = q.dim, offset = k.length - q.length;
    const std::int64_t depth = cpu::factors_for<F>(dim), keys = in_tiles(k.length);
    const A scale = A(1) / std::sqrt(static_cast<A>(dim));
    cpu::parallel_for(k.batch * k.heads, 1, [=](std::int64_t begin, std::int64_t end) {
      const cpu::Scratch<F> key(depth * keys);                                     // [depth, keys]
      const cpu::Scratch<F> value_memory(cpu::factors_for<F>(keys) * dim);         // [keys joined, dim]
      const cpu::Scratch<F> query(group * depth * tile);                           // [group depth, tile]
      const cpu::Scratch<F> probability_memory(cpu::factors_for<F>(keys) * tile);  // [keys joined, tile]
      const cpu::Scratch<A> score(keys * tile), out(group * dim * tile);           // [.., tile]
      const cpu::Scratch<A> rows(tile * cpu::padded<A>(group * dim));
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t b = task / k.heads, kv = task % k.heads;
        load_by_dimension(neighbours(k, b, kv, 1), 0, keys, key.data());
        const auto value =
            by_position(neighbours(v, b, kv, 1), 0, in_factors<F>(k.length), dim, value_memory.data());
        const auto q_here = neighbours(q, b, kv * group, group);
        const auto y_here = neighbours(y, b, kv * group, group);
        for (std::int64_t first = 0; first < q.length; first += tile) {
          const std::int64_t queries = std::min(tile, q.length - first);
          const std::int64_t seen = in_factors<F>(offset + first + queries);
          load_by_dimension(q_here, first, tile, query.data());
          for (std::int64_t h = 0; h < group; ++h) {
            cpu::small_product<1>(seen, tile, depth, key.data(), keys, query.data() + h * depth * tile, tile,
                                  score.data(), tile, false);
            for (std::int64_t j = offset + first + 1; j < seen; ++j) {  // queries before key j do not see it
              std::fill_n(score.data() + j * tile, std::min(j - offset - first, tile), lowest<A>);
            }
            A maximum[tile], sum[tile];
            exponentials(score.data(), seen, scale * std::numbers::log2e_v<A>, maximum, sum);
            const F* probability =
                cpu::columns_as_factors(score.data(), seen, tile, probability_memory.data());
            A* out_here = out.data() + h * dim * tile;
            cpu::small_product<1>(dim, tile, cpu::factors_for<F>(seen), value.data, value.row, probability,
                                  tile, out_here, tile, false);
            divide_columns(out_here, dim, sum);
            for (std::int64_t l = 0; l < queries; ++l) {
              log_sum[(b * q.heads + kv * group + h) * q.length + first + l] =
                  maximum[l] / std::numbers::log2e_v<A> + std::log(sum[l]);
            }
          }
          add_by_dimension(out.data(), tile, queries, y_here, true, first, rows.data());
        }
      }
    });
  }

  // With P the probabilities, dP = dy v^T and dS = P (dP - sum(dy y)): dv = P^T dy, dq = dS k, dk = dS^T q.
  template <class T, class A>
  static void backward(Heads<const T> dy, Heads<const T> q, Heads<const T> k, Heads<const T> v,
                       Heads<const T> y, Vec<const A> log_sum, Gradient<Heads<T>> dq, Gradient<Heads<T>> dk,
                       Gradient<Heads<T>> dv) {
    using F = cpu::factor_t<T>;
    const std::int64_t group = q.heads / k.heads, dim = q.dim, offset = k.length - q.length;
    const std::int64_t depth = cpu::factors_for<F>(dim), keys = in_tiles(k.length), row = group * dim;
    const std::int64_t wide = cpu::padded<A>(dim), dquery_row = row - dim + wide;
    const A scale = A(1) / std::sqrt(static_cast<A>(dim));
    cpu::parallel_for(k.batch * k.heads, 1, [=](std::int64_t begin, std::int64_t end) {
      const auto joined = [](std::int64_t positions) { return cpu::factors_for<F>(positions); };
      const cpu::Scratch<F> key(depth * keys), value(depth * keys);  // [depth, keys]
      const cpu::Scratch<F> key_memory(joined(keys) * wide);         // [keys joined, wide]
      const cpu::Scratch<A> dkey(dim * keys), dvalue(dim * keys);    // [dim, keys]
      const cpu::Scratch<F> query(group * depth * block), dout(group * depth * block);
      const cpu::Scratch<F> out(group * depth * block);  // [group depth, block]
      const cpu::Scratch<F> query_memory(joined(block) * row), dout_memory(joined(block) * row);  // [.., row]
      const cpu::Scratch<A> dquery(block * dquery_row);
      const cpu::Scratch<A> score(block * tile), dscore(block * tile);  // [block, tile]
      const cpu::Scratch<F> factors(joined(block * tile));
      const cpu::Scratch<A> rows(block * wide);
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t b = task / k.heads, kv = task % k.heads;
        const auto k_here = neighbours(k, b, kv, 1), v_here = neighbours(v, b, kv, 1);
        const auto q_here = neighbours(q, b, kv * group, group), y_here = neighbours(y, b, kv * group, group);
        const auto dy_here = neighbours(dy, b, kv * group, group);
        load_by_dimension(k_here, 0, keys, key.data());
        load_by_dimension(v_here, 0, keys, value.data());
        const auto key_rows = by_position(k_here, 0, keys, wide, key_memory.data());
        std::fill_n(dkey.data(), dim * keys, A(0));
        std::fill_n(dvalue.data(), dim * keys, A(0));
        for (std::int64_t first = 0; first < q.length; first += block) {
          const std::int64_t queries = std::min(block, q.length - first);
          load_by_dimension(q_here, first, block, query.data());
          load_by_dimension(dy_here, first, block, dout.data());
          load_by_dimension(y_here, first, block, out.data());
          const std::int64_t padded_queries = cpu::padded<F>(queries);
          const auto query_rows = by_position(q_here, first, padded_queries, row, query_memory.data());
          const auto dout_rows = by_position(dy_here, first, padded_queries, row, dout_memory.data());
          std::fill_n(dquery.data(), block * dquery_row, A(0));
          for (std::int64_t h = 0; h < group; ++h) {
            const F *query_here = query.data() + h * depth * block,
                    *dout_here = dout.data() + h * depth * block;
            A dots[block], log_sums[block];
            dot_columns(dout_here, out.data() + h * depth * block, depth, dots);
            std::copy_n(log_sum.data + (b * q.heads + kv * group + h) * q.length + first, queries, log_sums);
            std::fill(log_sums + queries, log_sums + block, -lowest<A>);  // these have no probabilities
            for (std::int64_t j = 0; j < offset + first + queries; j += tile) {
              // Queries before `from` see no key of the tile.
              const std::int64_t from = std::max<std::int64_t>(j - offset - first, 0) / lanes<F> * lanes<F>;
              const std::int64_t count = padded_queries - from;
              cpu::small_product<1>(count, tile, depth, query_here + from, block, key.data() + j, keys,
                                    score.data(), tile, false);
              cpu::small_product<1>(count, tile, depth, dout_here + from, block, value.data() + j, keys,
                                    dscore.data(), tile, false);
              for (std::int64_t i = 0; i < count; ++i) {  // query i sees keys up to its own place
                const std::int64_t sees = std::max<std::int64_t>(first + from + i + offset + 1 - j, 0);
                if (sees >= tile) break;
                std::fill(score.data() + i * tile + sees, score.data() + (i + 1) * tile, lowest<A>);
              }
              score_gradients(count, scale, log_sums + from, dots + from, score.data(), dscore.data());
              const F* p = cpu::columns_as_factors(score.data(), count, tile, factors.data());
              cpu::small_product<1>(dim, tile, joined(count), dout_rows.at(joined(from)) + h * dim,
                                    dout_rows.row, p, tile, dvalue.data() + j, keys, true);
              const F* ds = cpu::columns_as_factors(dscore.data(), count, tile, factors.data());
              cpu::small_product<1>(dim, tile, joined(count), query_rows.at(joined(from)) + h * dim,
                                    query_rows.row, ds, tile, dkey.data() + j, keys, true);
              const F* ds_rows = cpu::rows_as_factors(dscore.data(), count, tile, factors.data());
              // What is to the right of a head's columns gets zeros added.
              cpu::small_product<joined_tile<F>>(
                  count, wide, joined(tile), ds_rows, 1, key_rows.at(joined(j)), key_rows.row,
                  dquery.data() + from * dquery_row + h * dim, dquery_row, true);
            }
          }
          if (dq) {
            add_by_position(dquery.data(), dquery_row, queries, neighbours<T>(dq, b, kv * group, group),
                            dq.fresh, first);
          }
        }
        const auto add = [&](const A* sums, const Gradient<Heads<T>>& to) {
          if (!to) return;
          for (std::int64_t first = 0; first < k.length; first += block) {
            add_by_dimension(sums + first, keys, std::min(block, k.length - first),
                             neighbours<T>(to, b, kv, 1), to.fresh, first, rows.data());
          }
        };
        add(dkey.data(), dk);
        add(dvalue.data(), dv);
      }
    });
  }

 private:
  static constexpr std::int64_t tile = 32;   // positions in the lanes of registers
  static constexpr std::int64_t block = 64;  // queries whose scores for a tile of keys stay in cache

  template <class F>
  static constexpr std::int64_t joined_tile = cpu::factors_for<F>(tile);
  template <class F>
  static constexpr std::int64_t lanes = cpu::lane_count<F>;
  template <class A>
  static constexpr A lowest = -std::numeric_limits<A>::infinity();

  static std::int64_t in_tiles(std::int64_t size) { return (size + tile - 1) / tile * tile; }
  /// As many positions as whole factors join.
  template <class F>
  static std::int64_t in_factors(std::int64_t size) {
    return cpu::factors_for<F>(size) * cpu::numbers_in<F>;
  }

  /// Neighbouring heads of one sequence.
  template <class T>
  struct Neighbours {
    T* data;
    std::int64_t length, heads, dim, stride;

    std::int64_t width() const { return heads * dim; }
    T* at(std::int64_t position) const { return data + position * stride; }
  };
  template <class T>
  static Neighbours<T> neighbours(Heads<T> x, std::int64_t b, std::int64_t first, std::int64_t heads) {
    return {x.at(b, 0, first), x.length, heads, x.dim, x.row_stride};
  }

  /// Positions [first, first + count) as [heads dim / numbers in a factor, count]. After the last position it
  /// is repeated.
  template <class T, class F>
  static void load_by_dimension(const Neighbours<T>& x, std::int64_t first, std::int64_t count, F* to) {
    const std::int64_t depth = x.heads * cpu::factors_for<F>(x.dim);
    const cpu::Scratch<F> rows(lanes<F> * depth);
    for (std::int64_t t = 0; t < count; t += lanes<F>) {
      const std::int64_t place = std::min(first + t, x.length - 1);
      const std::int64_t here = std::min(lanes<F>, x.length - place);
      const F* from = cpu::neighbours_in_place<F>(x.at(place), x.dim);
      if (from) {
        cpu::transpose(here, depth, from, x.stride / cpu::numbers_in<F>, to + t, count);
        continue;
      }
      for (std::int64_t i = 0; i < here; ++i) {
        cpu::join_neighbours(x.at(place + i), x.heads, x.dim, rows.data() + i * depth);
      }
      cpu::transpose(here, depth, rows.data(), depth, to + t, count);
    }
  }

  /// Rows of factors, each `row` after the one before.
  template <class F>
  struct FactorRows {
    const F* data;
    std::int64_t row;
    const F* at(std::int64_t i) const { return data + i * row; }
  };

  /// The same positions as [count / numbers in a factor, wide], zeros to the right of heads dim numbers and
  /// after the last position: in `memory`, or where they are if factors are numbers and no zeros are needed.
  template <class T, class F>
  static FactorRows<F> by_position(const Neighbours<const T>& x, std::int64_t first, std::int64_t count,
                                   std::int64_t wide, F* memory) {
    if constexpr (std::is_same_v<T, F>) {
      if (x.width() == wide && first + count <= x.length) return {x.at(first), x.stride};
    }
    F* to = memory;
    for (std::int64_t t = first; t < first + count; t += cpu::numbers_in<F>, to += wide) {
      const bool is_there = t < x.length;
      if (is_there) cpu::join_rows(x.at(t), t + 1 < x.length ? x.at(t + 1) : nullptr, x.width(), to);
      std::fill(to + (is_there ? x.width() : 0), to + wide, F{});
    }
    return {memory, wide};
  }

  /// Adds sums [count, heads dim], one row `sums_row` after the other, to the positions from `first` on, or
  /// overwrites these if they are fresh. Uses the sums' memory.
  template <class T, class A>
  static void add_by_position(A* sums, std::int64_t sums_row, std::int64_t count, const Neighbours<T>& to,
                              bool fresh, std::int64_t first) {
    for (std::int64_t t = 0; t < count; ++t, sums += sums_row) {
      T* old = to.at(first + t);
      if (!fresh) {
        for (std::int64_t d = 0; d < to.width(); ++d) sums[d] += static_cast<A>(old[d]);
      }
      cpu::convert_range(sums, old, to.width());
    }
  }

  /// The same for sums [heads dim, columns], a position in each of the first `count` columns. `rows` is
  /// memory to work in.
  template <class T, class A>
  static void add_by_dimension(const A* sums, std::int64_t columns, std::int64_t count,
                               const Neighbours<T>& to, bool fresh, std::int64_t first, A* rows) {
    const std::int64_t padded_row = cpu::padded<A>(to.width());
    cpu::transpose(to.width(), count, sums, columns, rows, padded_row);
    add_by_position(rows, padded_row, count, to, fresh, first);
  }

  /// score [rows, tile] = 2^(scale score - maximum), with the maxima of scale score and the sums of the
  /// columns.
  template <class A>
  static void exponentials(A* score, std::int64_t rows, A scale, A* maximum, A* sum) {
    std::fill_n(maximum, tile, lowest<A>);
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

  /// score = P and dscore = dS scale, given scores and dP.
  template <class A>
  static void score_gradients(std::int64_t rows, A scale, const A* log_sum, const A* dot, A* score,
                              A* dscore) {
    const A scale_2 = scale * std::numbers::log2e_v<A>;
    for (std::int64_t i = 0; i < rows; ++i) {
      A *s = score + i * tile, *ds = dscore + i * tile;
      const A log_sum_2 = log_sum[i] * std::numbers::log2e_v<A>, scaled_dot = dot[i] * scale;
      CRIA_SIMD
      for (std::int64_t l = 0; l < tile; ++l) {
        s[l] = math::exp2_up_to_127(s[l] * scale_2 - log_sum_2);
        ds[l] = s[l] * (ds[l] * scale - scaled_dot);
      }
    }
  }

  /// x [rows, tile] /= sum, column by column.
  template <class A>
  static void divide_columns(A* x, std::int64_t rows, const A* sum) {
    A inverse[tile];
    for (std::int64_t l = 0; l < tile; ++l) inverse[l] = A(1) / sum[l];
    for (std::int64_t d = 0; d < rows; ++d) {
      CRIA_SIMD
      for (std::int64_t l = 0; l < tile; ++l) x[d * tile + l] *= inverse[l];
    }
  }

  /// dot[i] = sum over d of a[d, i] b[d, i], a and b [depth, block].
  template <class F>
  static void dot_columns(const F* a, const F* b, std::int64_t depth, cpu::sum_t<F>* dot) {
    for (std::int64_t i = 0; i < block; i += lanes<F>) {
      cpu::Lanes<cpu::sum_t<F>> sum{};
      for (std::int64_t d = i; d < depth * block; d += block) {
        sum = cpu::multiply_add(cpu::load_lanes(a + d), b + d, sum);
      }
      cpu::store_lanes(sum, dot + i);
    }
  }
};

}  // namespace cria
