#pragma once

#include <cmath>

#include "cria/backend/cuda/map.cuh"
#include "cria/ops/adamw.hpp"

namespace cria {

namespace cuda {

/// The numbers of a step as each element needs them.
template <class A>
struct AdamWFactors {
  A keep, rate, beta1, beta2, rest1, rest2, root, epsilon;
};

template <int Size, class T, class A>
__device__ __forceinline__ void adamw_pack(const AdamWFactors<A>& s, const A* gradient, T* value, A* master,
                                           A* first, A* second) {
  constexpr bool has_master = !std::is_same_v<T, A>;
  const auto g = load<Size>(gradient);
  auto m = load<Size>(first), v = load<Size>(second), exact = load<Size>(master);
  Pack<T, Size> rounded;
#pragma unroll
  for (int i = 0; i < Size; ++i) {
    m.at[i] = s.beta1 * m.at[i] + s.rest1 * g.at[i];
    v.at[i] = s.beta2 * v.at[i] + s.rest2 * g.at[i] * g.at[i];
    exact.at[i] = exact.at[i] * s.keep - s.rate * m.at[i] / (std::sqrt(v.at[i]) / s.root + s.epsilon);
    rounded.at[i] = static_cast<T>(exact.at[i]);
  }
  store(first, m);
  store(second, v);
  store(master, exact);
  if constexpr (has_master) store(value, rounded);
}

template <int Size, class T, class A>
__global__ void __launch_bounds__(block_size)
    adamw_kernel(AdamWFactors<A> s, Vec<const A> gradient, T* value, A* master, A* first, A* second) {
  const std::int64_t packs = gradient.size / Size;
  for (std::int64_t p = first_item(); p < packs; p += item_stride()) {
    const std::int64_t i = p * Size;
    adamw_pack<Size>(s, gradient.data + i, value + i, master + i, first + i, second + i);
  }
  if constexpr (Size > 1) {
    const std::int64_t i = packs * Size + first_item();
    if (i < gradient.size) {
      adamw_pack<1>(s, gradient.data + i, value + i, master + i, first + i, second + i);
    }
  }
}

}  // namespace cuda

template <>
struct kernel<ops::AdamW, Cuda> {
  template <class T, class A>
  static void step(const ops::AdamWStep& s, Vec<const A> gradient, Vec<T> value, Vec<A> master, Vec<A> first,
                   Vec<A> second) {
    const cuda::AdamWFactors<A> factors{static_cast<A>(1.0 - s.decay),
                                        static_cast<A>(s.learning_rate / s.correction_1),
                                        static_cast<A>(s.beta1),
                                        static_cast<A>(s.beta2),
                                        static_cast<A>(1.0 - s.beta1),
                                        static_cast<A>(1.0 - s.beta2),
                                        static_cast<A>(std::sqrt(s.correction_2)),
                                        static_cast<A>(s.epsilon)};
    A* exact = master.data;
    if constexpr (std::is_same_v<T, A>) exact = value.data;
    constexpr int width = cuda::widest<A>;
    if (cuda::packs_fit<width>(gradient.data, value.data, exact, first.data, second.data)) {
      cuda::launch(cuda::adamw_kernel<width, T, A>, cuda::grid_for((value.size + width - 1) / width),
                   cuda::block_size, 0, factors, gradient, value.data, exact, first.data, second.data);
    } else {
      cuda::launch(cuda::adamw_kernel<1, T, A>, cuda::grid_for(value.size), cuda::block_size, 0, factors,
                   gradient, value.data, exact, first.data, second.data);
    }
  }
};

}  // namespace cria
