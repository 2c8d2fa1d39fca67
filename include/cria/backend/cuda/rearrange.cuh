#pragma once
/// CUDA kernel of the operations that rearrange elements.

#include <bit>
#include <cstdint>

#include "cria/backend/cuda/cuda.hpp"
#include "cria/backend/cuda/launch.hpp"
#include "cria/backend/cuda/pack.cuh"
#include "cria/core/division.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/rearrangement.hpp"

namespace cria {

namespace cuda {

/// Where element i of a copy, in row-major order, lies on both sides.
struct Places {
  std::int64_t from, to;
};
__device__ __forceinline__ Places places(const StridedCopy& copy, std::int64_t i) {
  Places result{copy.from_first, copy.to_first};
  for (int axis = Shape::max_rank - 1; axis >= 0; --axis) {  // unrolled: a GPU's registers have no addresses
    if (axis >= copy.rank) continue;
    const Divided by = axis == 0 ? Divided{0, i} : divided(i, copy.dims[axis]);
    result.from += by.rest * copy.from[axis];
    result.to += by.rest * copy.to[axis];
    i = by.quotient;
  }
  return result;
}

/// to = from, or to += from.
template <bool Adds, class T>
__device__ __forceinline__ void put(T& to, T value) {
  if constexpr (Adds) {
    to = static_cast<T>(wide(to) + wide(value));
  } else {
    to = value;
  }
}

template <bool Adds, class T>
__global__ void __launch_bounds__(block_size) rearrange_kernel(StridedCopy copy, const T* from, T* to) {
  for (std::int64_t i = first_item(); i < copy.size; i += item_stride()) {
    const Places at = places(copy, i);
    put<Adds>(to[at.to], from[at.from]);
  }
}

/// Neighbours are those of dimension `across` on the side that is read and of `last` on the other: a
/// block moves squares of 32 x 32 elements through shared memory, so that both sides are read and written
/// along their neighbours. `outer` is the copy without the two.
template <bool Adds, class T>
__global__ void __launch_bounds__(block_size)
    rearrange_squares_kernel(StridedCopy outer, std::int64_t across, std::int64_t across_to,
                             std::int64_t last, std::int64_t last_from, const T* from, T* to) {
  using Word = detail::word<sizeof(T)>;
  __shared__ Word square[32][33];  // one more than 32: a column's elements lie in different banks
  const std::int64_t squares_across = (across + 31) / 32, squares = squares_across * ((last + 31) / 32);
  const std::int64_t in_plane = blockIdx.x % squares;
  const std::int64_t first_across = in_plane % squares_across * 32, first = in_plane / squares_across * 32;
  const Places at = places(outer, blockIdx.x / squares);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  for (int row = warp; row < 32; row += block_size / 32) {
    const std::int64_t j = first + row, i = first_across + lane;
    if (i < across && j < last) square[row][lane] = std::bit_cast<Word>(from[at.from + i + j * last_from]);
  }
  __syncthreads();
  for (int row = warp; row < 32; row += block_size / 32) {
    const std::int64_t i = first_across + row, j = first + lane;
    if (i < across && j < last) put<Adds>(to[at.to + i * across_to + j], std::bit_cast<T>(square[lane][row]));
  }
}

template <bool Adds, class T>
void rearrange(const StridedCopy& copy, const T* from, T* to) {
  int read = -1, written = -1;  // dimensions along which neighbours are neighbours in memory
  for (int axis = 0; axis < copy.rank; ++axis) {
    if (copy.from[axis] == 1) read = axis;
    if (copy.to[axis] == 1) written = axis;
  }
  if (read >= 0 && written >= 0 && read != written && copy.dims[read] >= 8 && copy.dims[written] >= 8) {
    StridedCopy outer;
    for (int axis = 0; axis < copy.rank; ++axis) {
      if (axis != read && axis != written) outer.add(copy.dims[axis], copy.from[axis], copy.to[axis]);
    }
    outer.from_first = copy.from_first;
    outer.to_first = copy.to_first;
    const std::int64_t squares = (copy.dims[read] + 31) / 32 * ((copy.dims[written] + 31) / 32);
    launch(rearrange_squares_kernel<Adds, T>, outer.size * squares, block_size, 0, outer, copy.dims[read],
           copy.to[read], copy.dims[written], copy.from[written], from, to);
    return;
  }
  launch(rearrange_kernel<Adds, T>, grid_for(copy.size), block_size, 0, copy, from, to);
}

}  // namespace cuda

template <>
struct kernel<ops::Rearrange, Cuda> {
  template <int Size>
  static void copy(const StridedCopy& copy, const void* from, void* to) {
    using Word = cuda::detail::word<Size>;
    cuda::rearrange<false>(copy, static_cast<const Word*>(from), static_cast<Word*>(to));
  }

  template <class T>
  static void add(const StridedCopy& copy, const T* from, T* to) {
    cuda::rearrange<true>(copy, from, to);
  }
};

}  // namespace cria
