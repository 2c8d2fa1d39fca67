#pragma once

#include <cmath>

#include "cria/backend/cpu/map.hpp"
#include "cria/ops/adamw.hpp"

namespace cria {

template <>
struct kernel<ops::AdamW, Cpu> {
  template <class T, class A>
  static void step(const ops::AdamWStep& s, Vec<const A> gradient, Vec<T> value, Vec<A> master, Vec<A> first,
                   Vec<A> second) {
    const A keep = static_cast<A>(1.0 - s.decay), rate = static_cast<A>(s.learning_rate / s.correction_1);
    const A beta1 = static_cast<A>(s.beta1), beta2 = static_cast<A>(s.beta2);
    const A rest1 = static_cast<A>(1.0 - s.beta1), rest2 = static_cast<A>(1.0 - s.beta2);
    const A root = static_cast<A>(std::sqrt(s.correction_2)), epsilon = static_cast<A>(s.epsilon);
    cpu::parallel_for_elements(value.size, cpu::elementwise_grain, [=](std::int64_t begin, std::int64_t end) {
      // 16-bit values are rounded from their master copies, block by block while these are in cache.
      const Vec<A> exact = [&] {
        if constexpr (std::is_same_v<T, A>) return value;
        return master;
      }();
      cpu::for_each_block(begin, end, [&](std::int64_t start, std::int64_t size) {
#pragma omp simd
        for (std::int64_t i = start; i < start + size; ++i) {
          const A g = gradient[i];
          const A m = beta1 * first[i] + rest1 * g;
          const A v = beta2 * second[i] + rest2 * g * g;
          first[i] = m;
          second[i] = v;
          exact[i] = exact[i] * keep - rate * m / (std::sqrt(v) / root + epsilon);
        }
        if constexpr (!std::is_same_v<T, A>) {
          cpu::convert_range(exact.data + start, value.data + start, size);
        }
      });
    });
  }
};

}  // namespace cria
