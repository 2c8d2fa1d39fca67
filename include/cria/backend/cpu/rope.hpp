#pragma once

#include "cria/backend/cpu/map.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/rotation_table.hpp"

namespace cria {

template <>
struct kernel<ops::Rope, Cpu> {
  template <class T>
  static void forward(Heads<const T> a, Heads<const T> b, std::int64_t start,
                      const RotaryFrequencies& frequencies, Heads<T> rotated_a, Heads<T> rotated_b) {
    rotate(a, start, frequencies, acc_t<T>(1), Gradient<Heads<T>>{rotated_a, true});
    rotate(b, start, frequencies, acc_t<T>(1), Gradient<Heads<T>>{rotated_b, true});
  }

  template <class T>
  static void backward(Heads<const T> d_rotated_a, Heads<const T> d_rotated_b, std::int64_t start,
                       const RotaryFrequencies& frequencies, Gradient<Heads<T>> da, Gradient<Heads<T>> db) {
    rotate(d_rotated_a, start, frequencies, acc_t<T>(-1), da);
    rotate(d_rotated_b, start, frequencies, acc_t<T>(-1), db);
  }

 private:
  /// y += x, rotated forwards (direction 1) or backwards (-1); nothing if y is empty.
  template <class T, class A>
  static void rotate(Heads<const T> x, std::int64_t start, const RotaryFrequencies& frequencies, A direction,
                     Gradient<Heads<T>> y) {
    if (!y || x.batch * x.heads == 0) return;
    static thread_local detail::RotationTables<detail::RotationTable<A>> tables;
    detail::RotationTable<A> own{.first = start};
    // Of this thread, whichever thread the loop below runs on.
    detail::RotationTable<A>& table =
        start > detail::most_kept_positions ? own : tables[{x.dim, frequencies}];
    table.cover(start + x.length, x.dim, frequencies);
    const std::int64_t half = x.dim / 2, row = x.heads * x.dim;
    cpu::parallel_for(x.batch * x.length, 64, [=, &table](std::int64_t begin, std::int64_t end) {
      const cpu::Wide<T> wide_x(row), wide_y(row);
      const cpu::Input<T> before(row);
      const cpu::Scratch<A> addend(y.fresh ? 0 : row);
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t b = i / x.length, t = i % x.length;
        const A* cosine = table.cosine.data() + (start - table.first + t) * half;
        const A* sine = table.sine.data() + (start - table.first + t) * half;
        const A* from = wide_x.read(x.at(b, t, 0), row);
        T* there = y.at(b, t, 0);
        A* to = wide_y.target(there);
        A* rotated = y.fresh ? to : addend.data();
        for (std::int64_t h = 0; h < row; h += x.dim) {
          rotate_head(half, cosine, sine, direction, from + h, rotated + h);
        }
        if (!y.fresh) {
          cpu::map_block(
              row, [](A value) { return value; }, before.read(there, row), to, rotated);
        }
        wide_y.write(there, row);
      }
    });
  }

  /// A loop this short is fast only if it knows its pointers and makes no choices.
  template <class A>
  static void rotate_head(std::int64_t half, const A* cosine, const A* sine, A direction, const A* x, A* y) {
    CRIA_SIMD
    for (std::int64_t d = 0; d < half; ++d) {
      const A c = cosine[d], s = sine[d] * direction, a = x[d], b = x[d + half];
      y[d] = a * c - b * s;
      y[d + half] = b * c + a * s;
    }
  }
};

}  // namespace cria
