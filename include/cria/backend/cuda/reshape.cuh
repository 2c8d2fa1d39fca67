#pragma once

#include <bit>

#include "cria/backend/cuda/map.cuh"
#include "cria/core/operations.hpp"

namespace cria {

namespace cuda {

/// The dimensions of x [a, b, c, d, e], which becomes y [a, d, c, b, e].
struct SwappedDims {
  std::int64_t a, b, c, d, e;
};

template <class T>
__device__ __forceinline__ void put(T& to, T value, bool accumulate) {
  to = accumulate ? static_cast<T>(wide(to) + wide(value)) : value;
}

/// Any e: neighbours in y are neighbours in x within e elements.
template <class T>
__global__ void __launch_bounds__(block_size)
    swap_kernel(const T* x, SwappedDims dims, T* y, bool accumulate) {
  const auto [a, b, c, d, e] = dims;
  for (std::int64_t i = first_item(); i < a * b * c * d * e; i += item_stride()) {
    const std::int64_t ie = i % e, ib = i / e % b, ic = i / (e * b) % c, id = i / (e * b * c) % d;
    const std::int64_t ia = i / (e * b * c * d);
    put(y[i], x[(((ia * b + ib) * c + ic) * d + id) * e + ie], accumulate);
  }
}

/// e = 1: a block moves a tile of 32 x 32 elements through shared memory, so that both sides are read and
/// written along their rows.
template <class T>
__global__ void __launch_bounds__(block_size)
    swap_tile_kernel(const T* x, SwappedDims dims, T* y, bool accumulate) {
  using Word = detail::word<sizeof(T)>;
  __shared__ Word tile[32][33];  // one more than 32: a column's elements lie in different banks
  const auto [a, b, c, d, e] = dims;
  const std::int64_t tiles_b = (b + 31) / 32, tiles_d = (d + 31) / 32;
  const std::int64_t plane = blockIdx.x / (tiles_b * tiles_d), in_plane = blockIdx.x % (tiles_b * tiles_d);
  const std::int64_t ia = plane / c, ic = plane % c;
  const std::int64_t first_b = in_plane / tiles_d * 32, first_d = in_plane % tiles_d * 32;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  for (int row = warp; row < 32; row += block_size / 32) {
    const std::int64_t ib = first_b + row, id = first_d + lane;
    if (ib < b && id < d) tile[row][lane] = std::bit_cast<Word>(x[((ia * b + ib) * c + ic) * d + id]);
  }
  __syncthreads();
  for (int row = warp; row < 32; row += block_size / 32) {
    const std::int64_t id = first_d + row, ib = first_b + lane;
    if (ib < b && id < d) {
      put(y[((ia * d + id) * c + ic) * b + ib], std::bit_cast<T>(tile[lane][row]), accumulate);
    }
  }
}

}  // namespace cuda

template <>
struct kernel<ops::Transpose, Cuda> {
  template <class T>
  static void forward(Vec<const T> x, const Shape& from, Vec<T> y) {
    swap(x, from, Gradient<Vec<T>>{y, true});
  }

  template <class T>
  static void backward(Vec<const T> dy, const Shape& from, Gradient<Vec<T>> dx) {
    if (dx) swap(dy, from, dx);
  }

 private:
  template <class T>
  static void swap(Vec<const T> x, const Shape& from, Gradient<Vec<T>> y) {
    const cuda::SwappedDims dims{from.dim(0), from.dim(1), from.dim(2), from.dim(3), from.dim(4)};
    if (dims.e == 1) {
      const std::int64_t tiles = dims.a * dims.c * ((dims.b + 31) / 32) * ((dims.d + 31) / 32);
      cuda::launch(cuda::swap_tile_kernel<T>, tiles, cuda::block_size, 0, x.data, dims, y.data, !y.fresh);
    } else {
      cuda::launch(cuda::swap_kernel<T>, cuda::grid_for(x.size), cuda::block_size, 0, x.data, dims, y.data,
                   !y.fresh);
    }
  }
};

}  // namespace cria
