#pragma once
/// CPU kernels of the element-by-element operations.

#include "cria/backend/cpu/cpu.hpp"
#include "cria/backend/cpu/parallel.hpp"
#include "cria/ops/elementwise.hpp"

namespace cria {

namespace cpu {
/// Elements below which a loop stays on one thread.
inline constexpr std::int64_t elementwise_grain = 16384;
}  // namespace cpu

template <>
struct kernel<ops::Unary, Cpu> {
  template <class F, class T>
  static void forward(F f, Vec<const T> x, Vec<T> y) {
    using A = acc_t<T>;
    cpu::parallel_for(y.size, cpu::elementwise_grain, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) y[i] = static_cast<T>(f.f(static_cast<A>(x[i])));
    });
  }

  template <class F, class T>
  static void backward(F f, Vec<const T> dy, Vec<const T> x, Vec<T> dx) {
    using A = acc_t<T>;
    if (!dx) return;
    cpu::parallel_for(dx.size, cpu::elementwise_grain, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) {
        dx[i] = static_cast<T>(static_cast<A>(dx[i]) + static_cast<A>(dy[i]) * f.df(static_cast<A>(x[i])));
      }
    });
  }
};

template <>
struct kernel<ops::Binary, Cpu> {
  template <class F, class T>
  static void forward(F f, Vec<const T> a, Vec<const T> b, Vec<T> y) {
    using A = acc_t<T>;
    cpu::parallel_for(y.size, cpu::elementwise_grain, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) {
        y[i] = static_cast<T>(f.f(static_cast<A>(a[i]), static_cast<A>(b[i])));
      }
    });
  }

  // a and b may be the same tensor, so each gradient gets a pass of its own.
  template <class F, class T>
  static void backward(F f, Vec<const T> dy, Vec<const T> a, Vec<const T> b, Vec<T> da, Vec<T> db) {
    using A = acc_t<T>;
    cpu::parallel_for(dy.size, cpu::elementwise_grain, [=](std::int64_t begin, std::int64_t end) {
      if (da) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) {
          const A d = f.df(static_cast<A>(a[i]), static_cast<A>(b[i])).a;
          da[i] = static_cast<T>(static_cast<A>(da[i]) + static_cast<A>(dy[i]) * d);
        }
      }
      if (db) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) {
          const A d = f.df(static_cast<A>(a[i]), static_cast<A>(b[i])).b;
          db[i] = static_cast<T>(static_cast<A>(db[i]) + static_cast<A>(dy[i]) * d);
        }
      }
    });
  }
};

}  // namespace cria
