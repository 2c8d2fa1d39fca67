#pragma once

#include <span>

#include "cria/backend/cuda/block_reduce.cuh"
#include "cria/backend/cuda/fold.cuh"
#include "cria/backend/cuda/map.cuh"
#include "cria/backend/cuda/tensor_list.cuh"
#include "cria/core/operations.hpp"

namespace cria {

namespace cuda {

/// sums[chunk] = the sum of squares of each chunk, in double.
template <class A>
__global__ void __launch_bounds__(block_size)
    squares_kernel(TensorListView<Vec<const A>> arrays, double* sums) {
  const auto chunk = arrays.chunk(blockIdx.x);
  double sum = 0;
  const bool packs = packs_fit<widest<A>>(chunk.entry.data);
  for_each_pack<widest<A>>(packs, chunk.begin, chunk.end, [&](std::int64_t i, auto size) {
    const auto x = load<size>(chunk.entry.data + i);
#pragma unroll
    for (int k = 0; k < size; ++k) sum += static_cast<double>(x.at[k]) * static_cast<double>(x.at[k]);
  });
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

template <class A>
struct Times {
  A factor;
  __device__ A operator()(A x) const { return x * factor; }
};

}  // namespace cuda

template <>
struct kernel<ops::SumOfSquares, Cuda> {
  template <class A>
  static void sum(std::span<const Vec<const A>> x, double* total) {
    const cuda::TensorList list(x, [](const auto& array) { return array.size; });
    const cuda::Scratch<double> sums(list.chunks());
    cuda::launch(cuda::squares_kernel<A>, list.chunks(), cuda::block_size, 0, list.view(), sums.data());
    cuda::fold_columns<ops::Total>(Rows<const double>{sums.data(), list.chunks(), 1}, total);
  }
};

template <>
struct kernel<ops::ScaleInPlace, Cuda> {
  template <class A>
  static void apply(A factor, Vec<A> x) {
    cuda::map(x, cuda::Times<A>{factor}, Vec<const A>(x));
  }
};

}  // namespace cria
