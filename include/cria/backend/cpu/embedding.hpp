#pragma once

#include "cria/backend/cpu/map.hpp"
#include "cria/ops/embedding.hpp"

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

  // Threads share the columns, not the rows: a token may occur in many rows, and its sum must keep one order.
  template <class T, class A>
  static void backward(Rows<const T> dy, Vec<const std::int32_t> tokens, Gradient<Rows<A>> dweight) {
    if (!dweight) return;
    cpu::fill_if_fresh(dweight, dweight.rows * dweight.cols);
    cpu::parallel_for(dy.cols, 64, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = 0; i < tokens.size; ++i) {
        A* sum = dweight.row(tokens[i]);
        const T* d = dy.row(i);
        CRIA_SIMD
        for (std::int64_t j = begin; j < end; ++j) sum[j] += static_cast<A>(d[j]);
      }
    });
  }
};

}  // namespace cria
