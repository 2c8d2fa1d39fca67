#pragma once

#include <span>

#include "cria/backend/cpu/map.hpp"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::SumOfSquares, Cpu> {
  template <class A>
  static void sum(std::span<const Vec<const A>> x, double* total) {
    *total = 0;
    for (const auto& array : x) *total += sum(array);
  }

 private:
  template <class A>
  static double sum(Vec<const A> x) {
    constexpr std::int64_t block = 4096;
    const std::int64_t blocks = (x.size + block - 1) / block;
    const cpu::Scratch<double> sums(blocks);
    cpu::parallel_for(blocks, 4, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t b = begin; b < end; ++b) {
        sums[b] = sum_of_block(x.data + b * block, std::min(block, x.size - b * block));
      }
    });
    double total = 0;
    for (std::int64_t b = 0; b < blocks; ++b) total += sums[b];
    return total;
  }

  template <class A>
  static double sum_of_block(const A* x, std::int64_t size) {
    double sum = 0;
    CRIA_SIMD_SUM(sum)
    for (std::int64_t i = 0; i < size; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    return sum;
  }
};

template <>
struct kernel<ops::ScaleInPlace, Cpu> {
  template <class A>
  static void apply(A factor, Vec<A> x) {
    cpu::parallel_for_elements(x.size, cpu::elementwise_grain, [=](std::int64_t begin, std::int64_t end) {
      CRIA_SIMD
      for (std::int64_t i = begin; i < end; ++i) x[i] *= factor;
    });
  }
};

}  // namespace cria
