#pragma once

#include <cmath>

#include "cria/backend/cpu/cpu.hpp"
#include "cria/backend/cpu/parallel.hpp"
#include "cria/ops/rms_norm.hpp"

namespace cria {

template <>
struct kernel<ops::RmsNorm, Cpu> {
  template <class T, class A>
  static void forward(Rows<const T> x, Vec<const T> weight, float eps, Rows<T> y, Vec<A> inv_rms) {
    cpu::parallel_for(x.rows, 32, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const T* xi = x.row(i);
        A squares = 0;
#pragma omp simd reduction(+ : squares)
        for (std::int64_t j = 0; j < x.cols; ++j) squares += static_cast<A>(xi[j]) * static_cast<A>(xi[j]);
        const A r = A(1) / std::sqrt(squares / static_cast<A>(x.cols) + static_cast<A>(eps));
        inv_rms[i] = r;
        T* yi = y.row(i);
#pragma omp simd
        for (std::int64_t j = 0; j < x.cols; ++j) {
          yi[j] = static_cast<T>(static_cast<A>(xi[j]) * r * static_cast<A>(weight[j]));
        }
      }
    });
  }

  // With h = x r: dweight += sum over rows of dy h; dx += r (dy w - h mean(dy w h)).
  template <class T, class A>
  static void backward(Rows<const T> dy, Rows<const T> x, Vec<const T> weight, Vec<const A> inv_rms,
                       Rows<T> dx, Vec<A> dweight) {
    if (dweight) {
      cpu::parallel_for(x.cols, 64, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = 0; i < x.rows; ++i) {
          const T* xi = x.row(i);
          const T* di = dy.row(i);
          const A r = inv_rms[i];
#pragma omp simd
          for (std::int64_t j = begin; j < end; ++j) {
            dweight[j] += static_cast<A>(di[j]) * static_cast<A>(xi[j]) * r;
          }
        }
      });
    }
    if (dx) {
      cpu::parallel_for(x.rows, 32, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const T* xi = x.row(i);
          const T* di = dy.row(i);
          T* dxi = dx.row(i);
          const A r = inv_rms[i];
          A dot = 0;
#pragma omp simd reduction(+ : dot)
          for (std::int64_t j = 0; j < x.cols; ++j) {
            dot += static_cast<A>(di[j]) * static_cast<A>(weight[j]) * static_cast<A>(xi[j]);
          }
          const A pull = dot * r * r * r / static_cast<A>(x.cols);
#pragma omp simd
          for (std::int64_t j = 0; j < x.cols; ++j) {
            const A d = static_cast<A>(di[j]) * static_cast<A>(weight[j]) * r - static_cast<A>(xi[j]) * pull;
            dxi[j] = static_cast<T>(static_cast<A>(dxi[j]) + d);
          }
        }
      });
    }
  }
};

}  // namespace cria
