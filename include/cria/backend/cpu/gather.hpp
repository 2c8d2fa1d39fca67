#pragma once

#include <algorithm>
#include <cstdint>

#include "cria/backend/cpu/map.hpp"
#include "cria/core/check.hpp"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::Gather, Cpu> {
  template <class T>
  static void forward(Planes<const T> x, const IndexView& index, Planes<T> y) {
    for (std::int64_t i = 0; i < index.all.size; ++i) {
      if (index.all[i] < 0 || index.all[i] >= x.middle)
        check::fail_index(index.op, i, index.all[i], x.middle);
    }
    cpu::parallel_for(y.outer * y.middle, cpu::elementwise_grain / (y.inner + 1) + 1,
                      [=](std::int64_t begin, std::int64_t end) {
                        for (std::int64_t row = begin; row < end; ++row) {
                          const std::int64_t o = row / y.middle, j = row % y.middle;
                          const T* from = x.plane(o).data;
                          T* to = y.data + row * y.inner;
                          if (index.inner_stride == 0) {
                            std::copy_n(from + index.at(o, j, 0) * x.inner, y.inner, to);
                          } else {
                            for (std::int64_t i = 0; i < y.inner; ++i)
                              to[i] = from[index.at(o, j, i) * x.inner + i];
                          }
                        }
                      });
  }

  // Elements that are named more than once are summed up in acc_t. Threads share the columns.
  template <class T>
  static void backward(Planes<const T> dy, const IndexView& index, Gradient<Planes<T>> dx) {
    using A = acc_t<T>;
    if (!dx) return;
    constexpr std::int64_t width = 256;
    const std::int64_t pieces = (dx.inner + width - 1) / width;
    const auto work = dy.middle * std::min(width, dx.inner) + dx.middle;
    cpu::parallel_for(dx.outer * pieces, cpu::elementwise_grain / (work + 1) + 1,
                      [=](std::int64_t begin, std::int64_t end) {
                        const cpu::Scratch<A> sums(dx.middle * std::min(width, dx.inner));
                        for (std::int64_t piece = begin; piece < end; ++piece) {
                          const std::int64_t o = piece / pieces, first = piece % pieces * width;
                          add(dy.plane(o), index, o, first, std::min(width, dx.inner - first), sums.data(),
                              {dx.plane(o), dx.fresh});
                        }
                      });
  }

 private:
  template <class T, class A>
  static void add(Rows<const T> dy, const IndexView& index, std::int64_t o, std::int64_t first,
                  std::int64_t columns, A* sums, Gradient<Rows<T>> dx) {
    std::fill_n(sums, dx.rows * columns, A(0));
    for (std::int64_t j = 0; j < dy.rows; ++j) {
      const T* from = dy.row(j) + first;
      for (std::int64_t i = 0; i < columns; ++i) {
        sums[index.at(o, j, first + i) * columns + i] += static_cast<A>(from[i]);
      }
    }
    for (std::int64_t row = 0; row < dx.rows; ++row) {
      T* to = dx.row(row) + first;
      for (std::int64_t i = 0; i < columns; ++i) {
        const A before = dx.fresh ? A(0) : static_cast<A>(to[i]);
        to[i] = static_cast<T>(before + sums[row * columns + i]);
      }
    }
  }
};

}  // namespace cria
