#pragma once
/// Sums and maxima over the threads of a warp or a block, always in the same order.

#include "cria/backend/cuda/portability.cuh"
#include "cria/core/reductions.hpp"

namespace cria::cuda {

/// A thread's sum of very many numbers, whose error does not grow with their count: what each addition rounds
/// off is summed up beside it. Knuth's TwoSum; infinite or NaN where a plain sum is.
template <class A>
class LongSum {
 public:
  __device__ LongSum& operator+=(A x) {
    const A sum = sum_ + x, added = sum - sum_;
    rest_ += (sum_ - (sum - added)) + (x - added);
    sum_ = sum;
    return *this;
  }
  __device__ LongSum& operator*=(A factor) {
    sum_ *= factor;
    rest_ *= factor;
    return *this;
  }
  __device__ A value() const {
    const bool is_finite = sum_ - sum_ == A(0);  // else the rest is infinity minus infinity
    return is_finite ? sum_ + rest_ : sum_;
  }

 private:
  A sum_ = 0;
  A rest_ = 0;
};

/// The values of all 32 lanes put together; every lane gets the result.
template <class A, class F>
__device__ __forceinline__ A warp_reduce(A value, F together) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    value = together(value, __shfl_xor_sync(0xFFFFFFFFu, value, distance));
  }
  return value;
}
template <class A>
__device__ __forceinline__ A warp_sum(A value) {
  return warp_reduce(value, ops::Total());
}

/// The values of all threads of the block put together; every thread gets the result. All threads must call
/// it, and the block must have whole warps.
template <class A, class F>
__device__ __forceinline__ A block_reduce(A value, F together) {
  __shared__ A of_warp[32];
  const unsigned warp = threadIdx.x / 32, warps = blockDim.x / 32;
  value = warp_reduce(value, together);
  __syncthreads();  // an earlier call's results have been read
  if (threadIdx.x % 32 == 0) of_warp[warp] = value;
  __syncthreads();
  value = of_warp[0];
  for (unsigned w = 1; w < warps; ++w) value = together(value, of_warp[w]);
  return value;
}
template <class A>
__device__ __forceinline__ A block_sum(A value) {
  return block_reduce(value, ops::Total());
}

}  // namespace cria::cuda
