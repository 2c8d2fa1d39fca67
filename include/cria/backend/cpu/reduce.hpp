#pragma once

#include "cria/backend/cpu/map.hpp"
#include "cria/backend/cpu/sum.hpp"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::Sum, Cpu> {
  template <class T, class A>
  static void forward(Planes<const T> x, Vec<A> y) {
    if (x.inner == 1) {
      cpu::parallel_for(x.outer, 16384 / (x.middle + 1) + 1, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const T* row = x.data + i * x.middle;
          y[i] = cpu::pairwise_sum<A>(0, x.middle, [row](std::int64_t j) { return static_cast<A>(row[j]); });
        }
      });
      return;
    }
    cpu::parallel_for(x.outer, 16384 / (x.middle * x.inner + 1) + 1,
                      [=](std::int64_t begin, std::int64_t end) {
                        for (std::int64_t i = begin; i < end; ++i) sum_rows(x.plane(i), y.data + i * x.inner);
                      });
  }

  template <class T, class D>
  static void backward(Vec<const D> dy, Gradient<Planes<T>> dx) {
    if (!dx) return;
    const auto add_rows = [=](std::int64_t begin, std::int64_t end) {
      const cpu::Wide<T> before(dx.inner), after(dx.inner);
      for (std::int64_t i = begin; i < end; ++i) {
        const D* d = dy.data + i / dx.middle * dx.inner;
        T* row = dx.data + i * dx.inner;
        cpu::map_block(
            dx.inner, [](acc_t<T> value) { return value; }, dx.fresh ? nullptr : before.read(row, dx.inner),
            after.target(row), d);
        after.write(row, dx.inner);
      }
    };
    cpu::parallel_for(dx.outer * dx.middle, 16384 / (dx.inner + 1) + 1, add_rows);
  }

 private:
  /// The sum of the rows of x.
  template <class T, class A>
  static void sum_rows(Rows<const T> x, A* sums) {
    cpu::pairwise_sums(0, x.rows, cpu::block_of_rows, x.cols, sums,
                       [x](std::int64_t begin, std::int64_t end, A* block) {
                         std::fill_n(block, x.cols, A(0));
                         for (std::int64_t i = begin; i < end; ++i) {
                           const T* row = x.row(i);
                           CRIA_SIMD
                           for (std::int64_t j = 0; j < x.cols; ++j) block[j] += static_cast<A>(row[j]);
                         }
                       });
  }
};

}  // namespace cria
