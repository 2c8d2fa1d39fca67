#pragma once

#include <cmath>

#include "cria/backend/cpu/map.hpp"
#include "cria/backend/cpu/sum.hpp"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::RmsNorm, Cpu> {
  template <class T, class A>
  static void forward(Rows<const T> x, Vec<const T> weight, float eps, Rows<T> y, Vec<A> inv_rms) {
    normalize(x, Rows<const T>{}, weight, eps, Rows<T>{}, y, inv_rms);
  }

  template <class T, class A>
  static void forward_of_sum(Rows<const T> a, Rows<const T> b, Vec<const T> weight, float eps, Rows<T> x,
                             Rows<T> y, Vec<A> inv_rms) {
    normalize(a, b, weight, eps, x, y, inv_rms);
  }

  // With h = x r: dweight += sum over rows of dy h; dx += r (dy w - h mean(dy w h)).
  template <class T, class A>
  static void backward(Rows<const T> dy, Rows<const T> x, Vec<const T> weight, Vec<const A> inv_rms,
                       Gradient<Rows<T>> dx, Gradient<Vec<A>> dweight) {
    const std::int64_t cols = x.cols;
    if (dx) {
      cpu::parallel_for(x.rows, 32, [=](std::int64_t begin, std::int64_t end) {
        const cpu::Input<T> input_x(cols), input_dy(cols), before(cols);
        const cpu::Wide<T> wide_weight(cols), after(cols);
        const A* w = wide_weight.read(weight.data, cols);
        for (std::int64_t i = begin; i < end; ++i) {
          const auto* xi = input_x.read(x.row(i), cols);
          const auto* di = input_dy.read(dy.row(i), cols);
          const A r = inv_rms[i];
          const A dot = cpu::pairwise_sum<A>(0, cols, [di, w, xi](std::int64_t j) {
            return static_cast<A>(di[j]) * w[j] * static_cast<A>(xi[j]);
          });
          const A pull = dot * r * r * r / static_cast<A>(cols);
          T* to = dx.row(i);
          cpu::map_block(
              cols, [r, pull](A d, A weight_j, A x_j) { return d * weight_j * r - x_j * pull; },
              dx.fresh ? nullptr : before.read(to, cols), after.target(to), di, w, xi);
          after.write(to, cols);
        }
      });
    }
    if (dweight) {
      cpu::parallel_for_elements(cols, 64, [=](std::int64_t begin, std::int64_t end) {
        const std::int64_t size = end - begin;
        const cpu::Input<T> input_x(size), input_dy(size);
        const cpu::Scratch<A> sums(size);
        cpu::pairwise_sums(0, x.rows, cpu::block_of_rows, size, sums.data(),
                           [&](std::int64_t first, std::int64_t last, A* sum) {
                             std::fill_n(sum, size, A(0));
                             for (std::int64_t i = first; i < last; ++i) {
                               const auto* xi = input_x.read(x.row(i) + begin, size);
                               const auto* di = input_dy.read(dy.row(i) + begin, size);
                               const A r = inv_rms[i];
                               CRIA_SIMD
                               for (std::int64_t j = 0; j < size; ++j) {
                                 sum[j] += static_cast<A>(di[j]) * static_cast<A>(xi[j]) * r;
                               }
                             }
                           });
        cpu::map_range(
            begin, end, !dweight.fresh, Vec<A>(dweight), [](A sum) { return sum; },
            Vec<const A>{sums.data() - begin, end});
      });
    }
  }

 private:
  /// y = the norm of a, or of sum = a + b if b is not empty.
  template <class T, class A>
  static void normalize(Rows<const T> a, Rows<const T> b, Vec<const T> weight, float eps, Rows<T> sum,
                        Rows<T> y, Vec<A> inv_rms) {
    const std::int64_t cols = a.cols;
    cpu::parallel_for(a.rows, 32, [=](std::int64_t begin, std::int64_t end) {
      const cpu::Input<T> input_x(cols), input_b(cols);
      const cpu::Wide<T> wide_weight(cols), wide_y(cols);
      const A* w = wide_weight.read(weight.data, cols);
      for (std::int64_t i = begin; i < end; ++i) {
        const auto* xi = input_x.read(a.row(i), cols);
        if (b) {
          const auto* bi = input_b.read(b.row(i), cols);
          A* si = wide_y.target(sum.row(i));
          CRIA_SIMD
          for (std::int64_t j = 0; j < cols; ++j) si[j] = static_cast<A>(xi[j]) + static_cast<A>(bi[j]);
          wide_y.write(sum.row(i), cols);
          xi = input_x.read(sum.row(i), cols);
        }
        const A squares = cpu::pairwise_sum<A>(
            0, cols, [xi](std::int64_t j) { return static_cast<A>(xi[j]) * static_cast<A>(xi[j]); });
        const A r = A(1) / std::sqrt(squares / static_cast<A>(cols) + static_cast<A>(eps));
        inv_rms[i] = r;
        A* yi = wide_y.target(y.row(i));
        CRIA_SIMD
        for (std::int64_t j = 0; j < cols; ++j) yi[j] = static_cast<A>(xi[j]) * r * w[j];
        wide_y.write(y.row(i), cols);
      }
    });
  }
};

}  // namespace cria
