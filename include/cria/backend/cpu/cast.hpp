#pragma once

#include "cria/backend/cpu/convert.hpp"
#include "cria/backend/cpu/elementwise.hpp"
#include "cria/ops/cast.hpp"

namespace cria {

template <>
struct kernel<ops::Cast, Cpu> {
  template <class From, class To>
  static void forward(Vec<const From> x, Vec<To> y) {
    cpu::convert(x, y);
  }

  template <class From, class To>
  static void backward(Vec<const To> dy, Vec<From> dx) {
    using A = acc_t<From>;
    if (!dx) return;
    cpu::parallel_for(dx.size, cpu::elementwise_grain, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) {
        const A d = static_cast<A>(static_cast<acc_t<To>>(dy[i]));
        dx[i] = static_cast<From>(static_cast<A>(dx[i]) + d);
      }
    });
  }
};

}  // namespace cria
