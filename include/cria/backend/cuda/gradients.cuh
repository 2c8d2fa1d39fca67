#pragma once

#include "cria/backend/cuda/block_reduce.cuh"
#include "cria/backend/cuda/map.cuh"
#include "cria/ops/gradients.hpp"

namespace cria {

namespace cuda {

/// sums[block] = the sum of squares of each block's share of x, in double.
template <class A>
__global__ void __launch_bounds__(block_size) squares_kernel(Vec<const A> x, double* sums) {
  double sum = 0;
  for (std::int64_t i = first_item(); i < x.size; i += item_stride()) {
    sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
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
  static double sum(Vec<const A> x) {
    const unsigned blocks = cuda::grid_for(x.size);
    const cuda::Scratch<double> of_block(blocks);
    cuda::launch(cuda::squares_kernel<A>, blocks, cuda::block_size, 0, x, of_block.data());
    std::vector<double> sums(blocks);
    Cuda::copy_to_host(sums.data(), of_block.data(), blocks * sizeof(double));
    double total = 0;
    for (const double s : sums) total += s;
    return total;
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
