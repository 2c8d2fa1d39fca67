#pragma once
/// Attention of a single position, as in a text that is written token by token: keys and values are read
/// once, where they lie, and in the order in which they lie. Since the last token all weights have gone
/// through the caches, so that they come from memory.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <utility>

#include "cria/backend/cpu/attention_sizes.hpp"
#include "cria/backend/cpu/convert.hpp"
#include "cria/backend/cpu/cpu.hpp"
#include "cria/backend/cpu/few_rows.hpp"
#include "cria/backend/cpu/section.hpp"
#include "cria/core/config.hpp"
#include "cria/core/math.hpp"

namespace cria::cpu::attention {

/// scores = 2^(scale scores - maximum) -> the maximum of scale scores, and the sum.
template <class A>
std::pair<A, A> exponentials_of_row(A* scores, std::int64_t size, A scale) {
  A maximum = -infinity<A>, sum = 0;
  for (std::int64_t j = 0; j < size; ++j) maximum = maximum > scores[j] ? maximum : scores[j];
  maximum *= scale;
  CRIA_SIMD_SUM(sum)
  for (std::int64_t j = 0; j < size; ++j) {
    scores[j] = math::exp2_up_to_127(scores[j] * scale - maximum);
    sum += scores[j];
  }
  return {maximum, sum};
}

/// Asks for what lies some positions after row j, of heads that lie side by side.
template <class T>
void prefetch_row(const Heads<const T>& x, std::int64_t b, std::int64_t j, Section heads) {
  constexpr std::int64_t line = 64 / sizeof(T);
  constexpr std::int64_t ahead = 8;
  if (j + ahead >= x.length) return;
  const T* row = x.at(b, j + ahead, heads.first);
  for (std::int64_t i = 0; i < heads.size * x.dim; i += line) __builtin_prefetch(row + i);
}

/// The single query of sequence b in each of the heads that read the key/value heads `kvs`.
template <class T, class A>
void attend_single(Heads<const T> q, Heads<const T> k, Heads<const T> v, Heads<T> y, Vec<A> log_sum,
                   std::int64_t b, Section kvs) {
  const Sizes<T> size{q, k};
  const std::int64_t length = k.length, dim = q.dim, head = kvs.first * size.group,
                     heads = kvs.size * size.group;
  const Scratch<A> scores(heads * length), out(heads * dim);
  constexpr std::int64_t at_once = 4;  // positions
  for (std::int64_t j = 0; j < length; j += at_once) {
    const std::int64_t count = std::min(at_once, length - j);
    for (std::int64_t i = 0; i < count; ++i) prefetch_row(k, b, j + i, kvs);
    for (std::int64_t kv = 0; kv < kvs.size; ++kv) {
      for (std::int64_t h = 0; h < size.group; h += few_rows) {
        const std::int64_t rows = std::min(few_rows, size.group - h), row = kv * size.group + h;
        multiply_few_rows(dim, Rows<const T>{q.at(b, 0, head + row), rows, dim},
                          Rows<const T>{k.at(b, j, kvs.first + kv), count, k.row_stride}, {},
                          Rows<A>{scores.data() + row * length + j, rows, length});
      }
    }
  }
  for (std::int64_t h = 0; h < heads; ++h) {
    A* row = scores.data() + h * length;
    const auto [maximum, sum] = exponentials_of_row(row, length, size.scale * std::numbers::log2e_v<A>);
    for (std::int64_t j = 0; j < length; ++j) row[j] /= sum;
    log_sum[(b * q.heads + head + h) * q.length] = maximum / std::numbers::log2e_v<A> + std::log(sum);
  }
  std::fill_n(out.data(), heads * dim, A(0));
  const Scratch<A> value(at_once * dim);
  for (std::int64_t j = 0; j < length; j += at_once) {
    const std::int64_t count = std::min(at_once, length - j);
    for (std::int64_t i = 0; i < count; ++i) prefetch_row(v, b, j + i, kvs);
    for (std::int64_t kv = 0; kv < kvs.size; ++kv) {
      for (std::int64_t i = 0; i < count; ++i) {
        convert_range(v.at(b, j + i, kvs.first + kv), value.data() + i * dim, dim);
      }
      std::fill_n(value.data() + count * dim, (at_once - count) * dim, A(0));
      for (std::int64_t h = kv * size.group; h < (kv + 1) * size.group; ++h) {
        const A* row = scores.data() + h * length + j;
        const A p0 = row[0], p1 = count > 1 ? row[1] : 0, p2 = count > 2 ? row[2] : 0,
                p3 = count > 3 ? row[3] : 0;
        const A *v0 = value.data(), *v1 = v0 + dim, *v2 = v1 + dim, *v3 = v2 + dim;
        A* to = out.data() + h * dim;
        CRIA_SIMD
        for (std::int64_t d = 0; d < dim; ++d) to[d] += p0 * v0[d] + p1 * v1[d] + (p2 * v2[d] + p3 * v3[d]);
      }
    }
  }
  convert_range(static_cast<const A*>(out.data()), y.at(b, 0, head), heads * dim);
}

}  // namespace cria::cpu::attention
