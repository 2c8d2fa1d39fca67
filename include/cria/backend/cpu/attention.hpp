#pragma once
/// Attention on the CPU, by tiles of 32 queries of one head. Scores of a tile are kept transposed, [keys,
/// queries], so that a register holds one key's scores for many queries and the softmax needs no sums across
/// a register.

#include <cmath>
#include <limits>

#include "cria/backend/cpu/attention_products.hpp"
#include "cria/backend/cpu/attention_tile.hpp"
#include "cria/backend/cpu/map.hpp"
#include "cria/backend/cpu/small_product.hpp"
#include "cria/core/math.hpp"
#include "cria/ops/attention.hpp"

namespace cria {

template <>
struct kernel<ops::Attention, Cpu> {
  template <class T, class A>
  static void forward(Heads<const T> q, Heads<const T> k, Heads<const T> v, Heads<T> y, Vec<A> log_sum) {
    if (by_products<T>()) return cpu::AttentionProducts<T>::forward(q, k, v, y, log_sum);
    const std::int64_t group = q.heads / k.heads;
    cpu::parallel_for(k.batch * k.heads, 1, [=](std::int64_t begin, std::int64_t end) {
      const cpu::Scratch<A> keys(k.length * k.dim), values(k.length * k.dim);  // [keys, dim]
      const cpu::Scratch<A> rows(tile * q.dim);                                // [tile, dim]
      const cpu::Scratch<A> query(q.dim * tile), out(q.dim * tile);            // [dim, tile]
      const cpu::Scratch<A> probability(k.length * tile);                      // [keys, tile]
      const cpu::Scratch<A> row(q.dim);
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t b = task / k.heads, kv = task % k.heads;
        load(k, b, kv, keys.data());
        load(v, b, kv, values.data());
        for (std::int64_t first = 0; first < q.length; first += tile) {
          for (std::int64_t h = kv * group; h < (kv + 1) * group; ++h) {
            const Span span(q.length, k.length, first);
            load_tile(q, b, h, span, scale<A>(q), rows.data(), q.dim, query.data());
            A maximum[tile], sum[tile] = {};
            scores(span, keys.data(), k.dim, query.data(), probability.data());
            std::fill_n(maximum, tile, -std::numeric_limits<A>::infinity());
            for (std::int64_t j = 0; j < span.keys; ++j) {
              const A* s = probability.data() + j * tile;
#pragma omp simd
              for (std::int64_t l = 0; l < tile; ++l) maximum[l] = maximum[l] > s[l] ? maximum[l] : s[l];
            }
            for (std::int64_t j = 0; j < span.keys; ++j) {
              A* p = probability.data() + j * tile;
#pragma omp simd
              for (std::int64_t l = 0; l < tile; ++l) {
                p[l] = math::exp_up_to_88(p[l] - maximum[l]);
                sum[l] += p[l];
              }
            }
            // out [dim, tile] = values^T probability
            cpu::small_product(v.dim, tile, span.keys, values.data(), 1, v.dim, probability.data(), tile,
                               out.data(), tile, false);
            for (std::int64_t l = 0; l < span.queries; ++l) {
              log_sum[(b * q.heads + h) * q.length + first + l] = maximum[l] + std::log(sum[l]);
              const A inverse = A(1) / sum[l];
              for (std::int64_t d = 0; d < q.dim; ++d) row[d] = out[d * tile + l] * inverse;
              cpu::convert_range(row.data(), y.at(b, first + l, h), q.dim);
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
    if (by_products<T>()) return cpu::AttentionProducts<T>::backward(dy, q, k, v, y, log_sum, dq, dk, dv);
    const std::int64_t group = q.heads / k.heads;
    const std::int64_t wide = cpu::padded<A>(k.dim);
    cpu::parallel_for(k.batch * k.heads, 1, [=](std::int64_t begin, std::int64_t end) {
      const cpu::Scratch<A> keys(k.length * k.dim), values(k.length * k.dim);  // [keys, dim]
      const cpu::Scratch<A> dkeys(k.length * wide), dvalues(k.length * wide);  // [keys, wide]
      const cpu::Scratch<A> query(tile * wide), dout(tile * wide);             // [tile, wide]
      const cpu::Scratch<A> query_t(k.dim * tile), dout_t(k.dim * tile), dquery(k.dim * tile);  // [dim, tile]
      const cpu::Scratch<A> probability(k.length * tile), dscore(k.length * tile);  // [keys, tile]
      const cpu::Scratch<A> row(k.dim);
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t b = task / k.heads, kv = task % k.heads;
        load(k, b, kv, keys.data());
        load(v, b, kv, values.data());
        std::fill_n(dkeys.data(), k.length * wide, A(0));
        std::fill_n(dvalues.data(), k.length * wide, A(0));
        for (std::int64_t first = 0; first < q.length; first += tile) {
          for (std::int64_t h = kv * group; h < (kv + 1) * group; ++h) {
            const Span span(q.length, k.length, first);
            load_tile(q, b, h, span, scale<A>(q), query.data(), wide, query_t.data());
            load_tile(dy, b, h, span, A(1), dout.data(), wide, dout_t.data());
            A log_sums[tile] = {}, dot[tile] = {};  // dot: sum(dy y) of each query
            for (std::int64_t l = 0; l < span.queries; ++l) {
              log_sums[l] = log_sum[(b * q.heads + h) * q.length + first + l];
              cpu::convert_range(y.at(b, first + l, h), row.data(), q.dim);
              for (std::int64_t d = 0; d < q.dim; ++d) dot[l] += row[d] * dout[l * wide + d];
            }
            scores(span, keys.data(), k.dim, query_t.data(), probability.data());
            cpu::small_product(span.keys, tile, v.dim, values.data(), v.dim, 1, dout_t.data(), tile,
                               dscore.data(), tile, false);
            for (std::int64_t j = 0; j < span.keys; ++j) {
              A* p = probability.data() + j * tile;
              A* ds = dscore.data() + j * tile;
#pragma omp simd
              for (std::int64_t l = 0; l < tile; ++l) {
                p[l] = math::exp_up_to_88(p[l] - log_sums[l]);
                ds[l] = p[l] * (ds[l] - dot[l]);
              }
            }
            cpu::small_product(span.keys, wide, span.queries, probability.data(), tile, 1, dout.data(), wide,
                               dvalues.data(), wide, true);
            cpu::small_product(span.keys, wide, span.queries, dscore.data(), tile, 1, query.data(), wide,
                               dkeys.data(), wide, true);
            if (dq) {
              cpu::small_product(k.dim, tile, span.keys, keys.data(), 1, k.dim, dscore.data(), tile,
                                 dquery.data(), tile, false);
              for (std::int64_t l = 0; l < span.queries; ++l) {
                for (std::int64_t d = 0; d < q.dim; ++d) row[d] = dquery[d * tile + l] * scale<A>(q);
                cpu::add_to_head(Rows<A>{row.data(), 1, q.dim}, dq, b, h, first + l);
              }
            }
          }
        }
        if (dk) cpu::add_to_head(Rows<A>{dkeys.data(), k.length, wide}, dk, b, kv, 0);
        if (dv) cpu::add_to_head(Rows<A>{dvalues.data(), k.length, wide}, dv, b, kv, 0);
      }
    });
  }

 private:
  static constexpr std::int64_t tile = 32;

  /// 16-bit products that the processor has instructions for are worth their roundings and padding.
  template <class T>
  static bool by_products() {
    return sizeof(T) == 2 && cpu::multiplies_as_is<T>();
  }

  using Span = cpu::AttentionTile<tile>;

  template <class A, class T>
  static A scale(Heads<const T> q) {
    return A(1) / std::sqrt(static_cast<A>(q.dim));
  }

  /// One head's rows, widened: to [length, dim].
  template <class T, class A>
  static void load(Heads<const T> x, std::int64_t b, std::int64_t h, A* to) {
    for (std::int64_t t = 0; t < x.length; ++t) cpu::convert_range(x.at(b, t, h), to + t * x.dim, x.dim);
  }

  /// A tile's rows times `factor`, zeros to the right: to [queries, wide]; and transposed, zeros where the
  /// tile has no query: to [dim, tile].
  template <class T, class A>
  static void load_tile(Heads<const T> x, std::int64_t b, std::int64_t h, const Span& span, A factor, A* to,
                        std::int64_t wide, A* transposed) {
    if (span.queries < tile) std::fill_n(transposed, x.dim * tile, A(0));
    for (std::int64_t l = 0; l < span.queries; ++l) {
      A* row = to + l * wide;
      cpu::convert_range(x.at(b, span.first + l, h), row, x.dim);
      for (std::int64_t d = 0; d < x.dim; ++d) {
        row[d] *= factor;
        transposed[d * tile + l] = row[d];
      }
      std::fill_n(row + x.dim, wide - x.dim, A(0));
    }
  }

  /// score [keys, tile] = keys query, minus infinity where the key comes after the query.
  template <class A>
  static void scores(const Span& span, const A* keys, std::int64_t dim, const A* query, A* score) {
    cpu::small_product(span.keys, tile, dim, keys, dim, 1, query, tile, score, tile, false);
    span.hide_later_keys(Rows<A>{score, span.keys, tile});
  }
};

}  // namespace cria
