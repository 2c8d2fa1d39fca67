#pragma once

#include "cria/backend/cpu/map.hpp"
#include "cria/core/noise.hpp"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::Dropout, Cpu> {
  template <class T>
  static void forward(Vec<const T> x, float probability, const Noise& noise, Vec<T> y) {
    for_each(y.size, probability, noise, [=](std::int64_t i, float factor) {
      y[i] = static_cast<T>(static_cast<acc_t<T>>(x[i]) * static_cast<acc_t<T>>(factor));
    });
  }

  template <class T>
  static void backward(Vec<const T> dy, float probability, const Noise& noise, Gradient<Vec<T>> dx) {
    using A = acc_t<T>;
    if (!dx) return;
    if (dx.fresh) return forward(dy, probability, noise, Vec<T>(dx));
    for_each(dx.size, probability, noise, [=](std::int64_t i, float factor) {
      dx[i] = static_cast<T>(static_cast<A>(dx[i]) + static_cast<A>(dy[i]) * static_cast<A>(factor));
    });
  }

 private:
  /// Calls body(i, factor), factor being 0 for a dropped element.
  template <class F>
  static void for_each(std::int64_t size, float probability, const Noise& noise, F body) {
    const Rng rng = noise.rng();
    const float kept = 1.0f / (1.0f - probability);
    cpu::parallel_for((size + 3) / 4, cpu::elementwise_grain / 4, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t block = begin; block < end; ++block) {
        const auto words = rng.block(static_cast<std::uint64_t>(block));
        for (std::int64_t i = 4 * block; i < std::min(size, 4 * block + 4); ++i) {
          const float uniform = static_cast<float>(words[static_cast<std::size_t>(i % 4)] >> 8) * 0x1p-24f;
          body(i, uniform < probability ? 0.0f : kept);
        }
      }
    });
  }
};

}  // namespace cria
