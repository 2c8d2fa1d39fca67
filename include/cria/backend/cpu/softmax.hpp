#pragma once

#include <cmath>

#include "cria/backend/cpu/fold.hpp"
#include "cria/backend/cpu/map.hpp"
#include "cria/backend/cpu/sum.hpp"
#include "cria/core/math.hpp"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::Softmax, Cpu> {
  template <class T>
  static void forward(Rows<const T> x, bool log, Rows<T> y) {
    using A = acc_t<T>;
    const std::int64_t cols = x.cols;
    cpu::parallel_for(x.rows, cpu::rows_for_thread(cols), [=](std::int64_t begin, std::int64_t end) {
      const cpu::Wide<T> input(cols), output(cols);
      for (std::int64_t i = begin; i < end; ++i) {
        const A* xi = input.read(x.row(i), cols);
        A* yi = output.target(y.row(i));
        const A greatest = cpu::fold_run<ops::Largest>(cols, ops::Identity{}, xi);
        const A sum = cpu::pairwise_sum<A>(0, cols, [xi, yi, greatest](std::int64_t j) {
          return yi[j] = math::exp_up_to_88(xi[j] - greatest);
        });
        if (log) {
          const A log_sum = std::log(sum);
          CRIA_SIMD
          for (std::int64_t j = 0; j < cols; ++j) yi[j] = xi[j] - greatest - log_sum;
        } else {
          const A inverse = A(1) / sum;
          CRIA_SIMD
          for (std::int64_t j = 0; j < cols; ++j) yi[j] *= inverse;
        }
        output.write(y.row(i), cols);
      }
    });
  }

  // dx += y (dy - sum of dy y), or dy - e^y (sum of dy).
  template <class T>
  static void backward(Rows<const T> dy, Rows<const T> y, bool log, Gradient<Rows<T>> dx) {
    using A = acc_t<T>;
    const std::int64_t cols = y.cols;
    cpu::parallel_for(y.rows, cpu::rows_for_thread(cols), [=](std::int64_t begin, std::int64_t end) {
      const cpu::Wide<T> input_dy(cols), input_y(cols), before(cols), output(cols);
      for (std::int64_t i = begin; i < end; ++i) {
        const A* di = input_dy.read(dy.row(i), cols);
        const A* yi = input_y.read(y.row(i), cols);
        T* to = dx.row(i);
        const A* there = dx.fresh ? nullptr : before.read(to, cols);
        if (log) {
          const A sum = cpu::sum_of(cols, ops::Identity{}, di);
          cpu::map_block(
              cols, [sum](A d, A log_p) { return d - math::exp(log_p) * sum; }, there, output.target(to), di,
              yi);
        } else {
          const A sum = cpu::sum_of(cols, ops::Multiply{}, di, yi);
          cpu::map_block(
              cols, [sum](A d, A p) { return p * (d - sum); }, there, output.target(to), di, yi);
        }
        output.write(to, cols);
      }
    });
  }
};

}  // namespace cria
