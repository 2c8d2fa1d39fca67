#pragma once

#include <cmath>

#include "cria/backend/cpu/cpu.hpp"
#include "cria/backend/cpu/parallel.hpp"
#include "cria/ops/rope.hpp"

namespace cria {

namespace cpu {

/// cos and sin of position * theta^(-2 d / dim), [positions, dim / 2] each; grown when a later position is
/// asked for.
struct RotationTable {
  std::int64_t dim = 0;
  float theta = 0;
  std::vector<double> cosine, sine;

  void cover(std::int64_t positions, std::int64_t new_dim, float new_theta) {
    if (dim != new_dim || theta != new_theta) *this = {new_dim, new_theta, {}, {}};
    const std::int64_t half = dim / 2;
    const auto size = static_cast<std::size_t>(positions * half);
    for (std::size_t i = cosine.size(); i < size; ++i) {
      const auto position = static_cast<double>(static_cast<std::int64_t>(i) / half);
      const auto d = static_cast<double>(static_cast<std::int64_t>(i) % half);
      const double angle =
          position * std::pow(static_cast<double>(theta), -2.0 * d / static_cast<double>(dim));
      cosine.push_back(std::cos(angle));
      sine.push_back(std::sin(angle));
    }
  }
};

}  // namespace cpu

template <>
struct kernel<ops::Rope, Cpu> {
  template <class T>
  static void forward(Heads<const T> x, std::int64_t start, float theta, Heads<T> y) {
    rotate(x, start, theta, 1, y, [](acc_t<T>, acc_t<T> rotated) { return rotated; });
  }

  template <class T>
  static void backward(Heads<const T> dy, std::int64_t start, float theta, Gradient<Heads<T>> dx) {
    if (!dx) return;
    if (dx.fresh) {
      rotate(dy, start, theta, -1, Heads<T>(dx), [](acc_t<T>, acc_t<T> rotated) { return rotated; });
    } else {
      rotate(dy, start, theta, -1, Heads<T>(dx),
             [](acc_t<T> old, acc_t<T> rotated) { return old + rotated; });
    }
  }

 private:
  template <class T, class F>
  static void rotate(Heads<const T> x, std::int64_t start, float theta, int direction, Heads<T> y, F put) {
    using A = acc_t<T>;
    static thread_local cpu::RotationTable cache;
    cache.cover(start + x.length, x.dim, theta);
    const cpu::RotationTable& table = cache;  // of this thread, whichever thread the loop below runs on
    const std::int64_t half = x.dim / 2;
    cpu::parallel_for(x.batch * x.length, 64, [=, &table](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const double* cosine = table.cosine.data() + (start + i % x.length) * half;
        const double* sine = table.sine.data() + (start + i % x.length) * half;
        for (std::int64_t h = 0; h < x.heads; ++h) {
          const T* from = x.data + (i * x.heads + h) * x.dim;
          T* to = y.data + (i * x.heads + h) * x.dim;
#pragma omp simd
          for (std::int64_t d = 0; d < half; ++d) {
            const A c = static_cast<A>(cosine[d]), s = static_cast<A>(sine[d]) * static_cast<A>(direction);
            const A a = static_cast<A>(from[d]), b = static_cast<A>(from[d + half]);
            to[d] = static_cast<T>(put(static_cast<A>(to[d]), a * c - b * s));
            to[d + half] = static_cast<T>(put(static_cast<A>(to[d + half]), b * c + a * s));
          }
        }
      }
    });
  }
};

}  // namespace cria
