#pragma once

#include "cria/backend/cpu/map.hpp"
#include "cria/ops/reduce.hpp"

namespace cria {

template <>
struct kernel<ops::Sum, Cpu> {
  template <class T, class A>
  static void forward(Planes<const T> x, Vec<A> y) {
    if (x.inner == 1) {
      cpu::parallel_for(x.outer, 16384 / (x.middle + 1) + 1, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) y[i] = contiguous_sum<A>(x.data + i * x.middle, x.middle);
      });
      return;
    }
    cpu::parallel_for(x.outer, 16384 / (x.middle * x.inner + 1) + 1,
                      [=](std::int64_t begin, std::int64_t end) {
                        for (std::int64_t i = begin; i < end; ++i) {
                          A* sums = y.data + i * x.inner;
                          std::fill_n(sums, x.inner, A(0));
                          for (std::int64_t m = 0; m < x.middle; ++m) {
                            const T* row = x.plane(i).row(m);
                            CRIA_SIMD
                            for (std::int64_t j = 0; j < x.inner; ++j) sums[j] += static_cast<A>(row[j]);
                          }
                        }
                      });
  }

  template <class T, class A>
  static void backward(Vec<const A> dy, Gradient<Planes<T>> dx) {
    if (!dx) return;
    cpu::parallel_for(dx.outer, 16384 / (dx.middle * dx.inner + 1) + 1,
                      [=](std::int64_t begin, std::int64_t end) {
                        const cpu::Wide<T> before(dx.inner), after(dx.inner);
                        for (std::int64_t i = begin; i < end; ++i) {
                          const A* d = dy.data + i * dx.inner;
                          for (std::int64_t m = 0; m < dx.middle; ++m) {
                            T* row = dx.plane(i).row(m);
                            cpu::map_block(
                                dx.inner, [](A value) { return value; },
                                dx.fresh ? nullptr : before.read(row, dx.inner), after.target(row), d);
                            after.write(row, dx.inner);
                          }
                        }
                      });
  }

 private:
  /// Sums of blocks, then their sum: the rounding error grows with the square root of the length, not with
  /// it.
  template <class A, class T>
  static A contiguous_sum(const T* x, std::int64_t size) {
    A total = 0;
    for (std::int64_t begin = 0; begin < size; begin += 4096) {
      const std::int64_t end = std::min<std::int64_t>(begin + 4096, size);
      A block = 0;
      CRIA_SIMD_SUM(block)
      for (std::int64_t i = begin; i < end; ++i) block += static_cast<A>(x[i]);
      total += block;
    }
    return total;
  }
};

}  // namespace cria
