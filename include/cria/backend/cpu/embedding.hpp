#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "cria/backend/cpu/map.hpp"
#include "cria/backend/cpu/sum.hpp"
#include "cria/core/check.hpp"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::Embedding, Cpu> {
  template <class T>
  static void forward(Vec<const std::int32_t> tokens, Rows<const T> weight, Rows<T> y) {
    for (std::int64_t i = 0; i < tokens.size; ++i) {
      if (tokens[i] < 0 || tokens[i] >= weight.rows) {
        check::fail_token("embedding", i, tokens[i], weight.rows);
      }
    }
    cpu::parallel_for(y.rows, 64, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) std::copy_n(weight.row(tokens[i]), y.cols, y.row(i));
    });
  }

  // Rows of the same token are added up together: there may be millions. Threads share the columns.
  template <class T, class A>
  static void backward(Rows<const T> dy, Vec<const std::int32_t> tokens, Gradient<Rows<A>> dweight) {
    if (!dweight) return;
    cpu::fill_if_fresh(dweight, dweight.rows * dweight.cols);
    std::vector<std::int64_t> order(static_cast<std::size_t>(tokens.size));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [=](std::int64_t a, std::int64_t b) { return tokens[a] < tokens[b]; });
    cpu::parallel_for(dy.cols, 64, [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t cols = end - begin;
      const cpu::Scratch<A> sums(cols);
      const auto sum_rows = [&](std::int64_t first, std::int64_t last, A* sum) {
        std::fill_n(sum, cols, A(0));
        for (std::int64_t i = first; i < last; ++i) {
          const T* d = dy.row(order[static_cast<std::size_t>(i)]) + begin;
          CRIA_SIMD
          for (std::int64_t j = 0; j < cols; ++j) sum[j] += static_cast<A>(d[j]);
        }
      };
      for (std::int64_t first = 0, last = 0; first < tokens.size; first = last) {
        const std::int32_t token = tokens[order[static_cast<std::size_t>(first)]];
        while (last < tokens.size && tokens[order[static_cast<std::size_t>(last)]] == token) ++last;
        cpu::pairwise_sums(first, last, cpu::block_of_rows, cols, sums.data(), sum_rows);
        A* sum = dweight.row(token) + begin;
        CRIA_SIMD
        for (std::int64_t j = 0; j < cols; ++j) sum[j] += sums[j];
      }
    });
  }
};

}  // namespace cria
