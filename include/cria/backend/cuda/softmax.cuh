#pragma once

#include <cmath>
#include <limits>

#include "cria/backend/cuda/block_reduce.cuh"
#include "cria/backend/cuda/launch.hpp"
#include "cria/backend/cuda/pack.cuh"
#include "cria/core/math.hpp"
#include "cria/core/operations.hpp"

namespace cria {

namespace cuda {

/// The largest of some numbers and the sum of exp(x - maximum) over them.
template <class A>
struct SoftmaxSum {
  A maximum;
  A sum;
};

/// Of a row, by a block. Each thread reads its share once and rescales its sum when the maximum grows.
template <int Size, class A, class T>
__device__ __forceinline__ SoftmaxSum<A> softmax_sum(const T* x, std::int64_t size) {
  A own_maximum = -std::numeric_limits<A>::infinity();
  LongSum<A> own_sum;
  for (std::int64_t j = Size * static_cast<std::int64_t>(threadIdx.x); j < size; j += Size * blockDim.x) {
    const auto pack = load<Size>(x + j);
    A most = own_maximum;
#pragma unroll
    for (int k = 0; k < Size; ++k) most = ops::Largest()(static_cast<A>(wide(pack.at[k])), most);
    if (most == -std::numeric_limits<A>::infinity()) continue;  // nothing to add, and no difference to take
    if (most != own_maximum) {
      own_sum *= math::exp_up_to_88(own_maximum - most);
      own_maximum = most;
    }
    A of_pack = 0;
#pragma unroll
    for (int k = 0; k < Size; ++k)
      of_pack += math::exp_up_to_88(static_cast<A>(wide(pack.at[k])) - own_maximum);
    own_sum += of_pack;
  }
  const A maximum = block_reduce(own_maximum, ops::Largest());
  // A thread without elements has no maximum, and no sum to rescale.
  const A sum = own_sum.value(), part = sum > A(0) ? sum * math::exp_up_to_88(own_maximum - maximum) : sum;
  return {maximum, block_sum(part)};
}

/// A block for each row, which it reads twice; the second time from the cache.
template <int Size, class T>
__global__ void __launch_bounds__(block_size, shared_by_blocks<T>)
    softmax_kernel(Rows<const T> x, bool log, Rows<T> y) {
  using A = acc_t<T>;
  const std::int64_t i = blockIdx.x;
  const SoftmaxSum<A> all = softmax_sum<Size, A>(x.row(i), x.cols);
  const A log_sum = std::log(all.sum), inverse = A(1) / all.sum;
  for (std::int64_t j = Size * static_cast<std::int64_t>(threadIdx.x); j < x.cols; j += Size * blockDim.x) {
    auto pack = load<Size>(x.row(i) + j);
#pragma unroll
    for (int k = 0; k < Size; ++k) {
      const A below = wide(pack.at[k]) - all.maximum;
      pack.at[k] = static_cast<T>(log ? below - log_sum : math::exp_up_to_88(below) * inverse);
    }
    store(y.row(i) + j, pack);
  }
}

/// dx += y (dy - sum of dy y), or dy - e^y (sum of dy).
template <int Size, class T>
__global__ void __launch_bounds__(block_size, shared_by_blocks<T>)
    softmax_backward_kernel(Rows<const T> dy, Rows<const T> y, bool log, Gradient<Rows<T>> dx) {
  using A = acc_t<T>;
  const std::int64_t i = blockIdx.x, first = Size * static_cast<std::int64_t>(threadIdx.x);
  LongSum<A> own;
  for (std::int64_t j = first; j < y.cols; j += Size * blockDim.x) {
    const auto d = load<Size>(dy.row(i) + j), p = load<Size>(y.row(i) + j);
#pragma unroll
    for (int k = 0; k < Size; ++k) own += log ? wide(d.at[k]) : wide(d.at[k]) * wide(p.at[k]);
  }
  const A sum = block_sum(own.value());
  for (std::int64_t j = first; j < y.cols; j += Size * blockDim.x) {
    const auto d = load<Size>(dy.row(i) + j), p = load<Size>(y.row(i) + j);
    Pack<T, Size> to;
    if (!dx.fresh) to = load<Size>(dx.row(i) + j);
#pragma unroll
    for (int k = 0; k < Size; ++k) {
      const A dyk = wide(d.at[k]), yk = wide(p.at[k]);
      to.at[k] = summed(to.at[k], dx.fresh, log ? dyk - math::exp(yk) * sum : yk * (dyk - sum));
    }
    store(dx.row(i) + j, to);
  }
}

}  // namespace cuda

template <>
struct kernel<ops::Softmax, Cuda> {
  template <class T>
  static void forward(Rows<const T> x, bool log, Rows<T> y) {
    constexpr int width = cuda::widest<T>;
    const bool packs = x.cols % width == 0 && cuda::packs_fit<width>(x.data, y.data);
    cuda::launch(packs ? cuda::softmax_kernel<width, T> : cuda::softmax_kernel<1, T>, x.rows,
                 cuda::block_size, 0, x, log, y);
  }

  template <class T>
  static void backward(Rows<const T> dy, Rows<const T> y, bool log, Gradient<Rows<T>> dx) {
    constexpr int width = cuda::widest<T>;
    const bool packs = y.cols % width == 0 && cuda::packs_fit<width>(dy.data, y.data, dx.data);
    cuda::launch(packs ? cuda::softmax_backward_kernel<width, T> : cuda::softmax_backward_kernel<1, T>,
                 y.rows, cuda::block_size, 0, dy, y, log, dx);
  }
};

}  // namespace cria
