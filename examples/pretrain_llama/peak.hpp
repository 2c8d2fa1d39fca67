#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

#include "cria/backend/cpu/gemm.hpp"

namespace pretrain {

/// The highest rate, in operations a second, that `threads` threads reach together on a matrix product of the
/// size of the reference model's: the best of several runs, about a tenth of a second in all.
template <class T>
double measured_peak_flops(std::int64_t threads) {
  constexpr std::int64_t rows = 512, columns = 768, depth = 288;
  double best = 0;
  for (int run = 0; run < 6; ++run) {
    std::vector<double> rates(static_cast<std::size_t>(threads));
    cria::cpu::run_on_threads(static_cast<int>(threads), [&](int thread) {
      const std::vector<T> a(rows * depth), b(columns * depth);
      std::vector<T> c(rows * columns);
      const auto start = std::chrono::steady_clock::now();
      constexpr int repetitions = 4;
      for (int i = 0; i < repetitions; ++i) {
        cria::cpu::gemm(cria::cpu::plain(cria::Rows<const T>{a.data(), rows, depth}),
                        cria::cpu::transposed(cria::Rows<const T>{b.data(), columns, depth}), false,
                        cria::Rows<T>{c.data(), rows, columns});
      }
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      rates[static_cast<std::size_t>(thread)] = repetitions * 2.0 * rows * columns * depth / seconds;
    });
    double sum = 0;
    for (const double rate : rates) sum += rate;
    best = std::max(best, sum);
  }
  return best;
}

}  // namespace pretrain
