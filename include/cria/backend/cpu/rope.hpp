#pragma once

#include "cria/backend/cpu/map.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/rotation_table.hpp"

namespace cria {

template <>
struct kernel<ops::Rope, Cpu> {
  template <class T>
  static void forward(Heads<const T> a, Heads<const T> b, std::int64_t start, float theta, Heads<T> rotated_a,
                      Heads<T> rotated_b) {
    rotate(a, start, theta, acc_t<T>(1), Gradient<Heads<T>>{rotated_a, true});
    rotate(b, start, theta, acc_t<T>(1), Gradient<Heads<T>>{rotated_b, true});
  }

  template <class T>
  static void backward(Heads<const T> d_rotated_a, Heads<const T> d_rotated_b, std::int64_t start,
                       float theta, Gradient<Heads<T>> da, Gradient<Heads<T>> db) {
    rotate(d_rotated_a, start, theta, acc_t<T>(-1), da);
    rotate(d_rotated_b, start, theta, acc_t<T>(-1), db);
  }

 private:
  /// y += x, rotated forwards (direction 1) or backwards (-1); nothing if y is empty.
  template <class T, class A>
  static void rotate(Heads<const T> x, std::int64_t start, float theta, A direction, Gradient<Heads<T>> y) {
    if (!y) return;
    static thread_local detail::RotationTable<A> cache;
    cache.cover(start + x.length, x.dim, theta);
    const detail::RotationTable<A>& table = cache;  // of this thread, whichever thread the loop below runs on
    const std::int64_t half = x.dim / 2, row = x.heads * x.dim;
    cpu::parallel_for(x.batch * x.length, 64, [=, &table](std::int64_t begin, std::int64_t end) {
      const cpu::Wide<T> wide_x(row), wide_y(row);
      const cpu::Input<T> before(row);
      const cpu::Scratch<A> addend(y.fresh ? 0 : row);
      for (std::int64_t i = begin; i < end; ++i) {
        const A* cosine = table.cosine.data() + (start + i % x.length) * half;
        const A* sine = table.sine.data() + (start + i % x.length) * half;
        const A* from = wide_x.read(x.data + i * row, row);
        A* to = wide_y.target(y.data + i * row);
        A* rotated = y.fresh ? to : addend.data();
        for (std::int64_t h = 0; h < row; h += x.dim) {
          rotate_head(half, cosine, sine, direction, from + h, rotated + h);
        }
        if (!y.fresh) {
          cpu::map_block(
              row, [](A value) { return value; }, before.read(y.data + i * row, row), to, rotated);
        }
        wide_y.write(y.data + i * row, row);
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
