#pragma once
/// CPU kernels of the operations in which elements along a dimension have an order.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "cria/backend/cpu/map.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/order.hpp"

namespace cria {

template <>
struct kernel<ops::CumulativeTotal, Cpu> {
  template <class T>
  static void forward(Planes<const T> x, Planes<T> y) {
    run(x, Gradient<Planes<T>>{y, true}, false);
  }
  template <class T>
  static void backward(Planes<const T> dy, Gradient<Planes<T>> dx) {
    if (dx) run(dy, dx, true);
  }

 private:
  /// Sums are kept in double, from the end if it goes backward.
  template <class T>
  static void run(Planes<const T> x, Gradient<Planes<T>> y, bool is_backward) {
    using A = acc_t<T>;
    cpu::parallel_for(x.outer, cpu::elementwise_grain / (x.middle * x.inner + 1) + 1,
                      [=](std::int64_t begin, std::int64_t end) {
                        const cpu::Scratch<double> sums(x.inner);
                        for (std::int64_t o = begin; o < end; ++o) {
                          std::fill_n(sums.data(), x.inner, 0.0);
                          for (std::int64_t step = 0; step < x.middle; ++step) {
                            const std::int64_t j = is_backward ? x.middle - 1 - step : step;
                            const T* from = x.plane(o).row(j);
                            T* to = y.plane(o).row(j);
                            for (std::int64_t i = 0; i < x.inner; ++i) {
                              sums[i] += static_cast<double>(static_cast<A>(from[i]));
                              const A before = y.fresh ? A(0) : static_cast<A>(to[i]);
                              to[i] = static_cast<T>(before + static_cast<A>(sums[i]));
                            }
                          }
                        }
                      });
  }
};

template <>
struct kernel<ops::Order, Cpu> {
  template <class T>
  static void forward(Rows<const T> x, bool descending, Rows<std::int32_t> order) {
    cpu::parallel_for(x.rows, 1024 / (x.cols + 1) + 1, [=](std::int64_t begin, std::int64_t end) {
      std::vector<std::int32_t> all(static_cast<std::size_t>(x.cols));
      for (std::int64_t row = begin; row < end; ++row) {
        std::iota(all.begin(), all.end(), 0);
        const T* values = x.row(row);
        std::partial_sort(all.begin(), all.begin() + order.cols, all.end(),
                          [=](std::int32_t a, std::int32_t b) {
                            return comes_before(values[a], a, values[b], b, descending);
                          });
        std::copy_n(all.begin(), order.cols, order.row(row));
      }
    });
  }
};

}  // namespace cria
