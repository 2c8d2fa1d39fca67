#pragma once

#include <cmath>

#include "cria/backend/cpu/fold.hpp"
#include "cria/backend/cpu/map.hpp"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::LayerNorm, Cpu> {
  template <class T, class A>
  static void forward(Rows<const T> x, Vec<const T> weight, Vec<const T> bias, A eps, Rows<T> y, Vec<A> mean,
                      Vec<A> inv_deviation) {
    const std::int64_t cols = x.cols;
    cpu::parallel_for(x.rows, cpu::rows_for_thread(cols), [=](std::int64_t begin, std::int64_t end) {
      const cpu::Wide<T> input(cols), output(cols), wide_weight(cols), wide_bias(cols);
      const A* w = wide_weight.read(weight.data, cols);
      const A* b = wide_bias.read(bias.data, cols);
      for (std::int64_t i = begin; i < end; ++i) {
        const A* xi = input.read(x.row(i), cols);
        const A m = cpu::sum_of(cols, ops::Identity{}, xi) / static_cast<A>(cols);
        const A squares = cpu::sum_of(
            cols, [m](auto x_j) { return (x_j - m) * (x_j - m); }, xi);
        const A r = A(1) / std::sqrt(squares / static_cast<A>(cols) + eps);
        mean[i] = m;
        inv_deviation[i] = r;
        A* yi = output.target(y.row(i));
        CRIA_SIMD
        for (std::int64_t j = 0; j < cols; ++j) yi[j] = (xi[j] - m) * r * w[j] + b[j];
        output.write(y.row(i), cols);
      }
    });
  }

  // With g = dy w and h = (x - mean) r: dx += r (g - mean(g) - h mean(g h)).
  template <class T, class A>
  static void backward(Rows<const T> dy, Rows<const T> x, Vec<const T> weight, Vec<const A> mean,
                       Vec<const A> inv_deviation, Gradient<Rows<T>> dx) {
    const std::int64_t cols = x.cols;
    cpu::parallel_for(x.rows, cpu::rows_for_thread(cols), [=](std::int64_t begin, std::int64_t end) {
      const cpu::Wide<T> input_x(cols), input_dy(cols), wide_weight(cols), before(cols), output(cols);
      const A* w = wide_weight.read(weight.data, cols);
      for (std::int64_t i = begin; i < end; ++i) {
        const A* xi = input_x.read(x.row(i), cols);
        const A* di = input_dy.read(dy.row(i), cols);
        const A m = mean[i], r = inv_deviation[i];
        const A sum_g = cpu::sum_of(cols, ops::Multiply{}, di, w);
        const A sum_gh = cpu::sum_of(
            cols, [m, r](auto d_j, auto w_j, auto x_j) { return d_j * w_j * ((x_j - m) * r); }, di, w, xi);
        const A mean_g = sum_g / static_cast<A>(cols), mean_gh = sum_gh / static_cast<A>(cols);
        T* to = dx.row(i);
        cpu::map_block(
            cols, [=](A d_j, A w_j, A x_j) { return r * (d_j * w_j - mean_g - (x_j - m) * r * mean_gh); },
            dx.fresh ? nullptr : before.read(to, cols), output.target(to), di, w, xi);
        output.write(to, cols);
      }
    });
  }
};

}  // namespace cria
