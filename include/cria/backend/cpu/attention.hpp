#pragma once
/// Attention on the CPU, head by head and tile by tile. A tile is 32 queries in forward and 32 keys in
/// backward; they lie in the lanes of registers, so that the softmax needs no sums across a register.

#include <algorithm>
#include <cmath>
#include <limits>

#include "cria/backend/cpu/factor.hpp"
#include "cria/backend/cpu/map.hpp"
#include "cria/backend/cpu/small_product.hpp"
#include "cria/core/math.hpp"
#include "cria/ops/attention.hpp"

namespace cria {

template <>
struct kernel<ops::Attention, Cpu> {
  template <class T, class A>
  static void forward(Heads<const T> q, Heads<const T> k, Heads<const T> v, Heads<T> y, Vec<A> log_sum) {
    using F = cpu::factor_t<T>;
    const std::int64_t group = q.heads / k.heads, dim = q.dim, offset = k.length - q.length;
    const std::int64_t depth = cpu::factors_for<F>(dim), wide = cpu::padded<A>(dim);
    const std::int64_t keys = in_tiles(k.length);
    const A scale = A(1) / std::sqrt(static_cast<A>(dim));
    cpu::parallel_for(k.batch * k.heads, 1, [=](std::int64_t begin, std::int64_t end) {
      const cpu::Scratch<F> key(depth * keys), query(depth * tile);                // [depth, keys or tile]
      const cpu::Scratch<F> value(cpu::factors_for<F>(keys) * dim);                // [keys joined, dim]
      const cpu::Scratch<F> probability_memory(cpu::factors_for<F>(keys) * tile);  // [keys joined, tile]
      const cpu::Scratch<A> score(keys * tile), out(dim * tile), rows(tile * wide);
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t b = task / k.heads, kv = task % k.heads;
        load_by_dimension(k, b, kv, 0, keys, key.data());
        load_by_position(v, b, kv, keys, dim, value.data());
        for (std::int64_t first = 0; first < q.length; first += tile) {
          const std::int64_t queries = std::min(tile, q.length - first);
          const std::int64_t seen = in_pairs(offset + first + queries);
          for (std::int64_t h = kv * group; h < (kv + 1) * group; ++h) {
            load_by_dimension(q, b, h, first, tile, query.data());
            cpu::small_product<1>(seen, tile, depth, key.data(), keys, query.data(), tile, score.data(), tile,
                                  false);
            for (std::int64_t j = offset + first + 1; j < seen; ++j) {  // queries before key j do not see it
              std::fill_n(score.data() + j * tile, std::min(j - offset - first, tile), lowest<A>);
            }
            A maximum[tile], sum[tile];
            exponentials(score.data(), seen, scale, maximum, sum);
            const F* probability =
                cpu::columns_as_factors(score.data(), seen, tile, probability_memory.data());
            cpu::small_product<1>(dim, tile, cpu::factors_for<F>(seen), value.data(), dim, probability, tile,
                                  out.data(), tile, false);
            cpu::transpose(dim, tile, out.data(), tile, rows.data(), wide);
            for (std::int64_t l = 0; l < queries; ++l) {
              log_sum[(b * q.heads + h) * q.length + first + l] = maximum[l] + std::log(sum[l]);
              A* row = rows.data() + l * wide;
              const A inverse = A(1) / sum[l];
#pragma omp simd
              for (std::int64_t d = 0; d < dim; ++d) row[d] *= inverse;
              cpu::convert_range(row, y.at(b, first + l, h), dim);
            }
          }
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
    const std::int64_t depth = cpu::factors_for<F>(dim), wide = cpu::padded<A>(dim);
    const std::int64_t keys = in_tiles(k.length), queries = in_tiles(q.length);
    const A scale = A(1) / std::sqrt(static_cast<A>(dim));
    cpu::parallel_for(k.batch * k.heads, 1, [=](std::int64_t begin, std::int64_t end) {
      const auto joined = [](std::int64_t positions) { return cpu::factors_for<F>(positions); };
      const cpu::Scratch<F> key(depth * keys), value(depth * keys);         // [depth, keys]
      const cpu::Scratch<F> key_rows(joined(keys) * wide);                  // [keys joined, wide]
      const cpu::Scratch<F> query(depth * queries), dout(depth * queries);  // [depth, queries]
      const cpu::Scratch<F> query_rows(joined(queries) * dim), dout_rows(joined(queries) * dim);
      const cpu::Scratch<A> score(block * tile), dscore(block * tile);  // [block, tile]
      const cpu::Scratch<F> factors(joined(block * tile));
      const cpu::Scratch<A> dquery(queries * wide), dkey(dim * keys), dvalue(dim * keys);
      const cpu::Scratch<A> log_sums(queries), dots(queries), rows(keys * wide);
      const cpu::Wide<T> wide_dy(dim), wide_y(dim);
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t b = task / k.heads, kv = task % k.heads;
        load_by_dimension(k, b, kv, 0, keys, key.data());
        load_by_dimension(v, b, kv, 0, keys, value.data());
        load_by_position(k, b, kv, keys, wide, key_rows.data());
        std::fill_n(dkey.data(), dim * keys, A(0));
        std::fill_n(dvalue.data(), dim * keys, A(0));
        for (std::int64_t h = kv * group; h < (kv + 1) * group; ++h) {
          load_by_dimension(q, b, h, 0, queries, query.data());
          load_by_dimension(dy, b, h, 0, queries, dout.data());
          load_by_position(q, b, h, queries, dim, query_rows.data());
          load_by_position(dy, b, h, queries, dim, dout_rows.data());
          std::fill_n(dquery.data(), queries * wide, A(0));
          for (std::int64_t i = 0; i < q.length; ++i) {
            dots.data()[i] = dot(dy.at(b, i, h), y.at(b, i, h), dim, wide_dy, wide_y);
            log_sums.data()[i] = log_sum[(b * q.heads + h) * q.length + i];
          }
          std::fill(dots.data() + q.length, dots.data() + queries, A(0));
          std::fill(log_sums.data() + q.length, log_sums.data() + queries, A(0));
          for (std::int64_t j = 0; j < k.length; j += tile) {
            const std::int64_t from =
                std::max<std::int64_t>(j - offset, 0) / 2 * 2;  // before it, none sees key j
            for (std::int64_t first = from; first < q.length; first += block) {
              const std::int64_t rows_here = std::min(block, in_pairs(q.length) - first);
              cpu::small_product<1>(rows_here, tile, depth, query.data() + first, queries, key.data() + j,
                                    keys, score.data(), tile, false);
              cpu::small_product<1>(rows_here, tile, depth, dout.data() + first, queries, value.data() + j,
                                    keys, dscore.data(), tile, false);
              for (std::int64_t i = 0; i < rows_here; ++i) {  // query i sees keys up to its own place
                const std::int64_t sees = std::max<std::int64_t>(first + i + offset + 1 - j, 0);
                if (sees >= tile) break;
                std::fill(score.data() + i * tile + sees, score.data() + (i + 1) * tile, lowest<A>);
              }
              score_gradients(rows_here, scale, log_sums.data() + first, dots.data() + first, score.data(),
                              dscore.data());
              const F* p = cpu::columns_as_factors(score.data(), rows_here, tile, factors.data());
              cpu::small_product<1>(dim, tile, joined(rows_here), dout_rows.data() + joined(first) * dim, dim,
                                    p, tile, dvalue.data() + j, keys, true);
              const F* ds = cpu::columns_as_factors(dscore.data(), rows_here, tile, factors.data());
              cpu::small_product<1>(dim, tile, joined(rows_here), query_rows.data() + joined(first) * dim,
                                    dim, ds, tile, dkey.data() + j, keys, true);
              const F* ds_rows = cpu::rows_as_factors(dscore.data(), rows_here, tile, factors.data());
              cpu::small_product<joined_tile<F>>(rows_here, wide, joined(tile), ds_rows, 1,
                                                 key_rows.data() + joined(j) * wide, wide,
                                                 dquery.data() + first * wide, wide, true);
            }
          }
          if (dq) add_to_head(dquery.data(), wide, dq, b, h);
        }
        const auto add_transposed = [&](const A* sums, const Gradient<Heads<T>>& sum) {
          if (!sum) return;
          cpu::transpose(dim, keys, sums, keys, rows.data(), wide);
          add_to_head(rows.data(), wide, sum, b, kv);
        };
        add_transposed(dkey.data(), dk);
        add_transposed(dvalue.data(), dv);
      }
    });
  }

 private:
  static constexpr std::int64_t tile = 32;   // positions in the lanes of registers
  static constexpr std::int64_t block = 64;  // queries whose scores for a tile of keys stay in cache

  template <class F>
  static constexpr std::int64_t joined_tile = cpu::factors_for<F>(tile);
  template <class A>
  static constexpr A lowest = -std::numeric_limits<A>::infinity();

  static std::int64_t in_tiles(std::int64_t size) {
    return (size + tile - 1) / tile * tile;
  }
  /// An even number of positions, which any factors can join.
  static std::int64_t in_pairs(std::int64_t size) {
    return size + size % 2;
  }

  /// Positions [first, first + count) of one head as [dim / numbers in a factor, count], zeros after the
  /// last.
  template <class T, class F>
  static void load_by_dimension(Heads<const T> x, std::int64_t b, std::int64_t h, std::int64_t first,
                                std::int64_t count, F* to) {
    constexpr std::int64_t at_once = cpu::lane_count<F>;
    const std::int64_t depth = cpu::factors_for<F>(x.dim), wide = cpu::padded<F>(depth);
    const cpu::Scratch<F> rows(at_once * wide);
    for (std::int64_t t = 0; t < count; t += at_once) {
      const std::int64_t here = std::clamp<std::int64_t>(x.length - first - t, 0, at_once);
      for (std::int64_t i = 0; i < here; ++i) {
        cpu::join_neighbours(x.at(b, first + t + i, h), x.dim, rows.data() + i * wide);
      }
      std::fill(rows.data() + here * wide, rows.data() + at_once * wide, F{});
      cpu::transpose(at_once, depth, rows.data(), wide, to + t, count);
    }
  }

  /// `count` positions of one head as [count / numbers in a factor, wide], zeros after the last and to the
  /// right.
  template <class T, class F>
  static void load_by_position(Heads<const T> x, std::int64_t b, std::int64_t h, std::int64_t count,
                               std::int64_t wide, F* to) {
    for (std::int64_t t = 0; t < count; t += cpu::numbers_in<F>, to += wide) {
      if (t >= x.length) {
        std::fill_n(to, wide, F{});
        continue;
      }
      cpu::join_rows(x.at(b, t, h), t + 1 < x.length ? x.at(b, t + 1, h) : nullptr, x.dim, to);
      std::fill(to + x.dim, to + wide, F{});
    }
  }

  /// score [rows, tile] = exp(scale score - maximum), with the maxima and the sums of the columns.
  template <class A>
  static void exponentials(A* score, std::int64_t rows, A scale, A* maximum, A* sum) {
    std::fill_n(maximum, tile, lowest<A>);
    std::fill_n(sum, tile, A(0));
    for (std::int64_t j = 0; j < rows; ++j) {
      const A* s = score + j * tile;
#pragma omp simd
      for (std::int64_t l = 0; l < tile; ++l) maximum[l] = maximum[l] > s[l] ? maximum[l] : s[l];
    }
    for (std::int64_t l = 0; l < tile; ++l) maximum[l] *= scale;
    for (std::int64_t j = 0; j < rows; ++j) {
      A* s = score + j * tile;
#pragma omp simd
      for (std::int64_t l = 0; l < tile; ++l) {
        s[l] = math::exp_up_to_88(s[l] * scale - maximum[l]);
        sum[l] += s[l];
      }
    }
  }

  /// score = P and dscore = dS scale, given scores and dP.
  template <class A>
  static void score_gradients(std::int64_t rows, A scale, const A* log_sum, const A* dot, A* score,
                              A* dscore) {
    for (std::int64_t i = 0; i < rows; ++i) {
      A *s = score + i * tile, *ds = dscore + i * tile;
      const A log_sum_here = log_sum[i], dot_here = dot[i];
#pragma omp simd
      for (std::int64_t l = 0; l < tile; ++l) {
        s[l] = math::exp_up_to_88(s[l] * scale - log_sum_here);
        ds[l] = s[l] * (ds[l] - dot_here) * scale;
      }
    }
  }

  template <class T, class A = acc_t<T>>
  static A dot(const T* a, const T* b, std::int64_t size, const cpu::Wide<T>& wide_a,
               const cpu::Wide<T>& wide_b) {
    const A *left = wide_a.read(a, size), *right = wide_b.read(b, size);
    A sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t d = 0; d < size; ++d) sum += left[d] * right[d];
    return sum;
  }

  /// Adds rows to one head, or overwrites it if it is fresh. Uses the rows' memory.
  template <class T, class A>
  static void add_to_head(A* rows, std::int64_t wide, const Gradient<Heads<T>>& sum, std::int64_t b,
                          std::int64_t h) {
    for (std::int64_t t = 0; t < sum.length; ++t, rows += wide) {
      T* to = sum.at(b, t, h);
      if (!sum.fresh) {
        for (std::int64_t d = 0; d < sum.dim; ++d) rows[d] += static_cast<A>(to[d]);
      }
      cpu::convert_range(rows, to, sum.dim);
    }
  }
};

}  // namespace cria
