#pragma once

#include "cria/backend/cuda/map.cuh"
#include "cria/core/noise.hpp"
#include "cria/core/operations.hpp"

namespace cria {

namespace cuda {

/// y = x or 0, or y += that. A thread has four elements, for which one block of random words decides.
template <int Size, class T>
__global__ void __launch_bounds__(block_size)
    dropout_kernel(Vec<const T> x, float probability, float kept, Noise noise, T* y, bool accumulate) {
  using A = acc_t<T>;
  const Rng rng = noise.rng();
  const std::int64_t blocks = (x.size + 3) / 4;
  for (std::int64_t block = first_item(); block < blocks; block += item_stride()) {
    const auto words = rng.block(static_cast<std::uint64_t>(block));
    const auto masked = [&](int i, T value) {
      const float uniform = static_cast<float>(words[static_cast<std::size_t>(i)] >> 8) * 0x1p-24f;
      return wide(value) * static_cast<A>(uniform < probability ? 0.0f : kept);
    };
    if (Size == 4 && 4 * block + 4 <= x.size) {
      const auto from = load<Size>(x.data + 4 * block);
      Pack<T, Size> to;
      if (accumulate) to = load<Size>(y + 4 * block);
#pragma unroll
      for (int i = 0; i < Size; ++i) {
        to.at[i] = summed(to.at[i], !accumulate, masked(i, from.at[i]));
      }
      store(y + 4 * block, to);
      continue;
    }
    for (int i = 0; i < 4 && 4 * block + i < x.size; ++i) {
      T& to = y[4 * block + i];
      to = summed(to, !accumulate, masked(i, x[4 * block + i]));
    }
  }
}

}  // namespace cuda

template <>
struct kernel<ops::Dropout, Cuda> {
  template <class T>
  static void forward(Vec<const T> x, float probability, const Noise& noise, Vec<T> y) {
    apply(x, probability, noise, Gradient<Vec<T>>{y, true});
  }

  template <class T>
  static void backward(Vec<const T> dy, float probability, const Noise& noise, Gradient<Vec<T>> dx) {
    if (dx) apply(dy, probability, noise, dx);
  }

 private:
  template <class T>
  static void apply(Vec<const T> x, float probability, const Noise& noise, Gradient<Vec<T>> y) {
    const bool packs = sizeof(T) <= 4 && cuda::packs_fit<4>(x.data, y.data);
    constexpr int width = sizeof(T) <= 4 ? 4 : 1;
    cuda::launch(packs ? cuda::dropout_kernel<width, T> : cuda::dropout_kernel<1, T>,
                 cuda::grid_for((x.size + 3) / 4), cuda::block_size, 0, x, probability,
                 1.0f / (1.0f - probability), noise, y.data, !y.fresh);
  }
};

}  // namespace cria
