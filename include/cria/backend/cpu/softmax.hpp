#pragma once

#include <cmath>

#include "cria/backend/cpu/broadcast.hpp"
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
    cpu::parallel_for(x.rows, rows_for_thread(cols), [=](std::int64_t begin, std::int64_t end) {
      const cpu::Wide<T> input(cols), output(cols);
      for (std::int64_t i = begin; i < end; ++i) {
        const A* xi = input.read(x.row(i), cols);
        A* yi = output.target(y.row(i));
        const A greatest = cpu::fold_run<ops::Largest>(cols, xi);
        const A sum = cpu::pairwise_sum<A>(0, cols, [xi, yi, greatest](std::int64_t j) {
          return yi[j] = math::exp_up_to_88(xi[j] - greatest);
        });
        if (log) {
          const A log_sum = std::log(sum);
          write(
              cols, yi, [greatest, log_sum](A a) { return a - greatest - log_sum; }, xi);
        } else {
          const A inverse = A(1) / sum;
          write(
              cols, yi, [inverse](A power) { return power * inverse; }, yi);
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
    cpu::parallel_for(y.rows, rows_for_thread(cols), [=](std::int64_t begin, std::int64_t end) {
      const cpu::Input<T> input_dy(cols), input_y(cols), before(cols);
      const cpu::Wide<T> output(cols);
      for (std::int64_t i = begin; i < end; ++i) {
        const auto* di = input_dy.read(dy.row(i), cols);
        const auto* yi = input_y.read(y.row(i), cols);
        T* to = dx.row(i);
        const auto* there = dx.fresh ? nullptr : before.read(to, cols);
        if (log) {
          const A sum = cpu::pairwise_sum<A>(0, cols, [di](std::int64_t j) { return static_cast<A>(di[j]); });
          cpu::map_block(
              cols, [sum](A d, A log_p) { return d - math::exp(log_p) * sum; }, there, output.target(to), di,
              yi);
        } else {
          const A sum = cpu::pairwise_sum<A>(
              0, cols, [di, yi](std::int64_t j) { return static_cast<A>(di[j]) * static_cast<A>(yi[j]); });
          cpu::map_block(
              cols, [sum](A d, A p) { return p * (d - sum); }, there, output.target(to), di, yi);
        }
        output.write(to, cols);
      }
    });
  }

 private:
  template <class A, class F>
  static void write(std::int64_t size, A* y, F f, const A* x) {
    cpu::map_block(size, f, static_cast<const A*>(nullptr), y, x);
  }
  static std::int64_t rows_for_thread(std::int64_t cols) {
    return cpu::elementwise_grain / std::max<std::int64_t>(cols, 1) + 1;
  }
};

}  // namespace cria
