#pragma once

#include "cria/backend/cpu/map.hpp"
#include "cria/ops/rope.hpp"

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
      const cpu::Wide<T> wide_x(row), wide_y(row), before(row);
      for (std::int64_t i = begin; i < end; ++i) {
        const A* cosine = table.cosine.data() + (start + i % x.length) * half;
        const A* sine = table.sine.data() + (start + i % x.length) * half;
        const A* from = wide_x.read(x.data + i * row, row);
        const A* old = y.fresh ? nullptr : before.read(y.data + i * row, row);
        A* to = wide_y.target(y.data + i * row);
        for (std::int64_t h = 0; h < row; h += x.dim) {
#pragma omp simd
          for (std::int64_t d = h; d < h + half; ++d) {
            const A c = cosine[d - h], s = sine[d - h] * direction, a = from[d], b = from[d + half];
            const A first = a * c - b * s, second = b * c + a * s;
            to[d] = old ? old[d] + first : first;
            to[d + half] = old ? old[d + half] + second : second;
          }
        }
        wide_y.write(y.data + i * row, row);
      }
    });
  }
};

}  // namespace cria
