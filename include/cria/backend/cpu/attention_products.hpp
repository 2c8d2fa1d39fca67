#pragma once
/// Attention on the CPU for dtypes that the library multiplies faster than float: tiles of 64 queries of one
/// head, whose scores for all keys that they see are a product of matrices. Scores of a tile are kept
/// transposed, [keys, queries], so that the softmax needs no sums across a register.

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "cria/backend/cpu/attention_tile.hpp"
#include "cria/backend/cpu/gemm.hpp"
#include "cria/backend/cpu/map.hpp"
#include "cria/core/math.hpp"
#include "cria/core/view.hpp"

namespace cria::cpu {

/// kernel<ops::Attention>'s forward and backward for one dtype. Probabilities and the gradients of scores are
/// rounded to T before they are multiplied; sums are kept in acc_t<T>. Heads are padded to `wide` numbers and
/// keys to whole tiles, both with zeros: products of such sizes are the fast ones, and few to prepare.
template <class T>
class AttentionProducts {
  using A = acc_t<T>;

 public:
  static void forward(Heads<const T> q, Heads<const T> k, Heads<const T> v, Heads<T> y, Vec<A> log_sum) {
    const std::int64_t group = q.heads / k.heads, wide = padded_width(q.dim), all = padded_keys(k.length);
    const A scale = A(1) / std::sqrt(static_cast<A>(q.dim));
    parallel_for(k.batch * k.heads, 1, [=](std::int64_t begin, std::int64_t end) {
      const Scratch<T> key_memory(all * wide), value_memory(all * wide), query_memory(tile * wide);
      const Scratch<A> score_memory(all * tile), out_memory(tile * wide);
      const Scratch<T> probability_memory(all * tile);
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t b = task / k.heads, kv = task % k.heads;
        const Rows<const T> keys = load(k, b, kv, 0, {key_memory.data(), all, wide});
        const Rows<const T> values = load(v, b, kv, 0, {value_memory.data(), all, wide});
        for (std::int64_t first = 0; first < q.length; first += tile) {
          for (std::int64_t h = kv * group; h < (kv + 1) * group; ++h) {
            const Span span(q.length, k.length, first);
            const std::int64_t seen = padded_keys(span.keys);
            const Rows<const T> query = load(q, b, h, first, {query_memory.data(), tile, wide});
            const Rows<A> score{score_memory.data(), seen, tile}, out{out_memory.data(), tile, wide};
            const Rows<T> probability{probability_memory.data(), seen, tile};
            gemm(plain(keys.slice(0, seen)), transposed(query), false, score);
            span.hide_later_keys(score);
            A maximum[tile], sum[tile];
            exponentials(score, scale, maximum, sum);
            convert_range(score.data, probability.data, seen * tile);
            gemm(transposed(constant(probability)), plain(values.slice(0, seen)), false, out);
            for (std::int64_t l = 0; l < span.queries; ++l) {
              log_sum[(b * q.heads + h) * q.length + first + l] = maximum[l] + std::log(sum[l]);
              const A inverse = A(1) / sum[l];
              for (std::int64_t d = 0; d < q.dim; ++d) out.row(l)[d] *= inverse;
              convert_range(out.row(l), y.at(b, first + l, h), q.dim);
            }
          }
        }
      }
    });
  }

  // With P the probabilities, dP = dy v^T and dS = P (dP - sum(dy y)): dv = P^T dy, dq = dS k, dk = dS^T q.
  static void backward(Heads<const T> dy, Heads<const T> q, Heads<const T> k, Heads<const T> v,
                       Heads<const T> y, Vec<const A> log_sum, Gradient<Heads<T>> dq, Gradient<Heads<T>> dk,
                       Gradient<Heads<T>> dv) {
    const std::int64_t group = q.heads / k.heads, wide = padded_width(q.dim), all = padded_keys(k.length);
    const A scale = A(1) / std::sqrt(static_cast<A>(q.dim));
    parallel_for(k.batch * k.heads, 1, [=](std::int64_t begin, std::int64_t end) {
      const Scratch<T> key_memory(all * wide), value_memory(all * wide);
      const Scratch<T> query_memory(tile * wide), dout_memory(tile * wide);
      const Scratch<A> score_memory(all * tile), dscore_memory(all * tile);
      const Scratch<T> probability_memory(all * tile), rounded_memory(all * tile);
      const Scratch<A> dquery_memory(tile * wide), dkey_memory(all * wide), dvalue_memory(all * wide);
      const Rows<A> dkeys{dkey_memory.data(), all, wide}, dvalues{dvalue_memory.data(), all, wide};
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t b = task / k.heads, kv = task % k.heads;
        const Rows<const T> keys = load(k, b, kv, 0, {key_memory.data(), all, wide});
        const Rows<const T> values = load(v, b, kv, 0, {value_memory.data(), all, wide});
        std::fill_n(dkeys.data, all * wide, A(0));
        std::fill_n(dvalues.data, all * wide, A(0));
        for (std::int64_t first = 0; first < q.length; first += tile) {
          for (std::int64_t h = kv * group; h < (kv + 1) * group; ++h) {
            const Span span(q.length, k.length, first);
            const std::int64_t seen = padded_keys(span.keys);
            const Rows<const T> query = load(q, b, h, first, {query_memory.data(), tile, wide});
            const Rows<const T> dout = load(dy, b, h, first, {dout_memory.data(), tile, wide});
            const Rows<A> score{score_memory.data(), seen, tile};
            const Rows<A> dscore{dscore_memory.data(), seen, tile};
            const Rows<T> probability{probability_memory.data(), seen, tile};
            const Rows<T> rounded{rounded_memory.data(), seen, tile};
            A log_sums[tile] = {}, dot[tile] = {};  // dot: sum(dy y) of each query
            for (std::int64_t l = 0; l < span.queries; ++l) {
              log_sums[l] = log_sum[(b * q.heads + h) * q.length + first + l];
              dot[l] = product_of(dout.row(l), y.at(b, first + l, h), q.dim);
            }
            gemm(plain(keys.slice(0, seen)), transposed(query), false, score);
            gemm(plain(values.slice(0, seen)), transposed(dout), false, dscore);
            span.hide_later_keys(score);
            for (std::int64_t j = 0; j < seen; ++j) {
              A *s = score.row(j), *ds = dscore.row(j);
#pragma omp simd
              for (std::int64_t l = 0; l < tile; ++l) {
                s[l] = math::exp_up_to_88(s[l] * scale - log_sums[l]);
                ds[l] = s[l] * (ds[l] - dot[l]) * scale;
              }
            }
            convert_range(score.data, probability.data, seen * tile);
            convert_range(dscore.data, rounded.data, seen * tile);
            gemm(plain(constant(probability)), plain(dout), true, dvalues.slice(0, seen));
            gemm(plain(constant(rounded)), plain(query), true, dkeys.slice(0, seen));
            if (dq) {
              const Rows<A> dquery{dquery_memory.data(), tile, wide};
              gemm(transposed(constant(rounded)), plain(keys.slice(0, seen)), false, dquery);
              add_to_head(dquery.slice(0, span.queries), dq, b, h, first);
            }
          }
        }
        if (dk) add_to_head(dkeys.slice(0, k.length), dk, b, kv, 0);
        if (dv) add_to_head(dvalues.slice(0, k.length), dv, b, kv, 0);
      }
    });
  }

 private:
  static constexpr std::int64_t tile = 64;

  static constexpr std::int64_t round_up(std::int64_t size, std::int64_t step) {
    return (size + step - 1) / step * step;
  }
  static std::int64_t padded_width(std::int64_t dim) {
    return round_up(dim, 32);
  }
  /// Whole tiles; where there are many, in steps of an eighth of the power of two below them.
  static std::int64_t padded_keys(std::int64_t keys) {
    const auto tiles = static_cast<std::uint64_t>(round_up(keys, tile) / tile);
    return round_up(keys,
                    tile * std::max<std::int64_t>(static_cast<std::int64_t>(std::bit_floor(tiles)) / 8, 1));
  }

  using Span = AttentionTile<tile>;

  static Rows<const T> constant(Rows<T> matrix) {
    return matrix;
  }

  /// Positions from `first` of one head, with zeros to the right and below.
  static Rows<const T> load(Heads<const T> x, std::int64_t b, std::int64_t h, std::int64_t first,
                            Rows<T> to) {
    const std::int64_t rows = std::min(to.rows, x.length - first);
    for (std::int64_t t = 0; t < rows; ++t) {
      std::copy_n(x.at(b, first + t, h), x.dim, to.row(t));
      std::fill_n(to.row(t) + x.dim, to.cols - x.dim, T{});
    }
    std::fill_n(to.row(rows), (to.rows - rows) * to.cols, T{});
    return to;
  }

  /// score = exp(scale score - maximum), and the sums of these over the keys.
  [[gnu::flatten]] static void exponentials(Rows<A> score, A scale, A* maximum, A* sum) {
    std::fill_n(maximum, tile, -std::numeric_limits<A>::infinity());
    std::fill_n(sum, tile, A(0));
    for (std::int64_t j = 0; j < score.rows; ++j) {
      const A* s = score.row(j);
#pragma omp simd
      for (std::int64_t l = 0; l < tile; ++l) {
        const A x = s[l] * scale;
        maximum[l] = maximum[l] > x ? maximum[l] : x;
      }
    }
    for (std::int64_t j = 0; j < score.rows; ++j) {
      A* s = score.row(j);
#pragma omp simd
      for (std::int64_t l = 0; l < tile; ++l) {
        s[l] = math::exp_up_to_88(s[l] * scale - maximum[l]);
        sum[l] += s[l];
      }
    }
  }

  static A product_of(const T* a, const T* b, std::int64_t size) {
    A sum = 0;
    for (std::int64_t d = 0; d < size; ++d) sum += static_cast<A>(a[d]) * static_cast<A>(b[d]);
    return sum;
  }
};

}  // namespace cria::cpu
