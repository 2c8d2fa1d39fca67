#pragma once

#include <span>

#include "cria/backend/cpu/map.hpp"
#include "cria/core/adamw.hpp"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::AdamW, Cpu> {
  static void begin(const ops::AdamWStep& s, Vec<const double> sums, ops::AdamWState* state) {
    state->begin(s, sums);
  }

  template <class T>
  static void step(const ops::AdamWStep& s, std::span<const ops::AdamWTensor<T>> tensors,
                   const ops::AdamWState* state) {
    if (!state->is_finite()) return;
    for (const auto& tensor : tensors) step(ops::AdamWFactors<acc_t<T>>(s, *state, tensor.decays), tensor);
  }

 private:
  template <class T, class A>
  static void step(const ops::AdamWFactors<A>& factors, const ops::AdamWTensor<T>& tensor) {
    const std::int64_t size = tensor.value.size;
    cpu::parallel_for_elements(size, cpu::elementwise_grain, [=](std::int64_t begin, std::int64_t end) {
      // 16-bit values are rounded from their master copies, block by block while these are in cache.
      const Vec<A> exact = [&] {
        if constexpr (std::is_same_v<T, A>) return tensor.value;
        return tensor.master;
      }();
      cpu::for_each_block(begin, end, [&](std::int64_t start, std::int64_t count) {
        CRIA_SIMD
        for (std::int64_t i = start; i < start + count; ++i) {
          factors.update(tensor.gradient[i], exact[i], tensor.first[i], tensor.second[i]);
        }
        if constexpr (!std::is_same_v<T, A>) {
          cpu::convert_range(exact.data + start, tensor.value.data + start, count);
        }
      });
    });
  }
};

}  // namespace cria
