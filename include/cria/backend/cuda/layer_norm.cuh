#pragma once

#include <cmath>

#include "cria/backend/cuda/block_reduce.cuh"
#include "cria/backend/cuda/launch.hpp"
#include "cria/backend/cuda/pack.cuh"
#include "cria/core/operations.hpp"

namespace cria {

namespace cuda {

/// A warp has a row, which it reads three times; all but the first time from the cache.
template <int Size, class T, class A>
__global__ void __launch_bounds__(block_size, shared_by_blocks<T>)
    layer_norm_kernel(Rows<const T> x, const T* weight, const T* bias, A eps, Rows<T> y, A* mean,
                      A* inv_deviation) {
  const std::int64_t i = first_item() / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (i >= x.rows) return;
  const A count = static_cast<A>(x.cols);
  LongSum<A> sum, squares;
  for (std::int64_t j = Size * lane; j < x.cols; j += Size * 32) {
    const auto pack = load<Size>(x.row(i) + j);
#pragma unroll
    for (int k = 0; k < Size; ++k) sum += wide(pack.at[k]);
  }
  const A m = warp_sum(sum.value()) / count;
  for (std::int64_t j = Size * lane; j < x.cols; j += Size * 32) {
    const auto pack = load<Size>(x.row(i) + j);
#pragma unroll
    for (int k = 0; k < Size; ++k) squares += (wide(pack.at[k]) - m) * (wide(pack.at[k]) - m);
  }
  const A r = A(1) / std::sqrt(warp_sum(squares.value()) / count + eps);
  if (lane == 0) {
    mean[i] = m;
    inv_deviation[i] = r;
  }
  for (std::int64_t j = Size * lane; j < x.cols; j += Size * 32) {
    auto pack = load<Size>(x.row(i) + j);
    const auto w = load<Size>(weight + j), b = load<Size>(bias + j);
#pragma unroll
    for (int k = 0; k < Size; ++k) {
      pack.at[k] = static_cast<T>((wide(pack.at[k]) - m) * r * wide(w.at[k]) + wide(b.at[k]));
    }
    store(y.row(i) + j, pack);
  }
}

/// With g = dy w and h = (x - mean) r: dx += r (g - mean(g) - h mean(g h)). A warp has a row.
template <int Size, class T, class A>
__global__ void __launch_bounds__(block_size, shared_by_blocks<T>)
    layer_norm_backward_kernel(Rows<const T> dy, Rows<const T> x, const T* weight, const A* mean,
                               const A* inv_deviation, Gradient<Rows<T>> dx) {
  const std::int64_t i = first_item() / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (i >= x.rows) return;
  const A count = static_cast<A>(x.cols), m = mean[i], r = inv_deviation[i];
  LongSum<A> sum_g, sum_gh;
  for (std::int64_t j = Size * lane; j < x.cols; j += Size * 32) {
    const auto d = load<Size>(dy.row(i) + j), xi = load<Size>(x.row(i) + j), w = load<Size>(weight + j);
#pragma unroll
    for (int k = 0; k < Size; ++k) {
      const A g = wide(d.at[k]) * wide(w.at[k]);
      sum_g += g;
      sum_gh += g * ((wide(xi.at[k]) - m) * r);
    }
  }
  const A mean_g = warp_sum(sum_g.value()) / count, mean_gh = warp_sum(sum_gh.value()) / count;
  for (std::int64_t j = Size * lane; j < x.cols; j += Size * 32) {
    const auto d = load<Size>(dy.row(i) + j), xi = load<Size>(x.row(i) + j), w = load<Size>(weight + j);
    Pack<T, Size> to;
    if (!dx.fresh) to = load<Size>(dx.row(i) + j);
#pragma unroll
    for (int k = 0; k < Size; ++k) {
      const A g = wide(d.at[k]) * wide(w.at[k]), h = (wide(xi.at[k]) - m) * r;
      to.at[k] = summed(to.at[k], dx.fresh, r * (g - mean_g - h * mean_gh));
    }
    store(dx.row(i) + j, to);
  }
}

}  // namespace cuda

template <>
struct kernel<ops::LayerNorm, Cuda> {
  template <class T, class A>
  static void forward(Rows<const T> x, Vec<const T> weight, Vec<const T> bias, A eps, Rows<T> y, Vec<A> mean,
                      Vec<A> inv_deviation) {
    constexpr int width = cuda::widest<T>;
    const bool packs = x.cols % width == 0 && cuda::packs_fit<width>(x.data, weight.data, bias.data, y.data);
    cuda::launch(packs ? cuda::layer_norm_kernel<width, T, A> : cuda::layer_norm_kernel<1, T, A>,
                 blocks(x.rows), cuda::block_size, 0, x, weight.data, bias.data, eps, y, mean.data,
                 inv_deviation.data);
  }

  template <class T, class A>
  static void backward(Rows<const T> dy, Rows<const T> x, Vec<const T> weight, Vec<const A> mean,
                       Vec<const A> inv_deviation, Gradient<Rows<T>> dx) {
    constexpr int width = cuda::widest<T>;
    const bool packs = x.cols % width == 0 && cuda::packs_fit<width>(dy.data, x.data, weight.data, dx.data);
    cuda::launch(
        packs ? cuda::layer_norm_backward_kernel<width, T, A> : cuda::layer_norm_backward_kernel<1, T, A>,
        blocks(x.rows), cuda::block_size, 0, dy, x, weight.data, mean.data, inv_deviation.data, dx);
  }

 private:
  static std::int64_t blocks(std::int64_t rows) {
    constexpr int warps = cuda::block_size / 32;
    return (rows + warps - 1) / warps;
  }
};

}  // namespace cria
