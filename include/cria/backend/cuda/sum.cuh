#pragma once
/// Sums along one dimension, in parts whose number depends on the shape alone.

#include <algorithm>

#include "cria/backend/cuda/block_reduce.cuh"
#include "cria/backend/cuda/map.cuh"

namespace cria::cuda {

namespace detail {

/// Elements that one block sums up, if they are neighbours; rows, if they are a column.
inline constexpr std::int64_t row_part = 8192, column_part = 1024;

/// y[i, part] = the sum of a part of row i. x [rows, cols], a block for each part.
template <int Size, class T, class A>
__global__ void __launch_bounds__(block_size)
    sum_rows_kernel(Rows<const T> x, std::int64_t parts, A* y, bool accumulate) {
  const std::int64_t row = blockIdx.x / parts, part = blockIdx.x % parts;
  const T* from = x.row(row);
  const std::int64_t end = std::min(x.cols, (part + 1) * row_part);
  A sum = 0;
  for (std::int64_t i = part * row_part + Size * threadIdx.x; i < end; i += Size * blockDim.x) {
    const auto pack = load<Size>(from + i);
#pragma unroll
    for (int k = 0; k < Size; ++k) sum += static_cast<A>(wide(pack.at[k]));
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) y[blockIdx.x] = accumulate ? y[blockIdx.x] + sum : sum;
}

/// y[o, part, i] = the sum over a part of x[o, :, i]. A block has 32 columns, a warp for every 32nd row.
template <class T, class A>
__global__ void __launch_bounds__(1024)
    sum_columns_kernel(Planes<const T> x, std::int64_t parts, A* y, bool accumulate) {
  __shared__ A of_warp[32][33];
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const std::int64_t tiles = (x.inner + 31) / 32;
  const std::int64_t sum_of = blockIdx.x / tiles, first = blockIdx.x % tiles * 32;
  const std::int64_t outer = sum_of / parts, part = sum_of % parts, column = first + lane;
  const std::int64_t end = std::min(x.middle, (part + 1) * column_part);
  A sum = 0;
  if (column < x.inner) {
    for (std::int64_t m = part * column_part + warp; m < end; m += 32) {
      sum += static_cast<A>(wide(x.data[(outer * x.middle + m) * x.inner + column]));
    }
  }
  of_warp[warp][lane] = sum;
  __syncthreads();
  sum = warp_sum(of_warp[lane][warp]);  // of column `warp` of these 32
  if (lane == 0 && first + warp < x.inner) {
    A& to = y[sum_of * x.inner + first + warp];
    to = accumulate ? to + sum : sum;
  }
}

/// y[o, part, i] = the sums of `parts` parts of x[o, :, i].
template <class T, class A>
void sum_parts(Planes<const T> x, std::int64_t parts, Gradient<Vec<A>> y) {
  if (x.inner == 1) {
    const Rows<const T> rows{x.data, x.outer, x.middle};
    const bool packs = x.middle % widest<T> == 0 && packs_fit<widest<T>>(x.data);
    launch(packs ? sum_rows_kernel<widest<T>, T, A> : sum_rows_kernel<1, T, A>, x.outer * parts, block_size,
           0, rows, parts, y.data, !y.fresh);
  } else {
    launch(sum_columns_kernel<T, A>, x.outer * parts * ((x.inner + 31) / 32), 1024, 0, x, parts, y.data,
           !y.fresh);
  }
}

}  // namespace detail

/// y[o, i] = the sum over the middle of x[o, :, i], or adds it to what is there if y is not fresh.
template <class T, class A>
void sum_middle(Planes<const T> x, Gradient<Vec<A>> y) {
  const std::int64_t part = x.inner == 1 ? detail::row_part : detail::column_part;
  const std::int64_t parts = std::max<std::int64_t>(1, (x.middle + part - 1) / part);
  if (parts > 1) {
    const Scratch<A> sums(x.outer * parts * x.inner);
    detail::sum_parts(x, parts, Gradient<Vec<A>>{sums.vec(), true});
    sum_middle(Planes<const A>{sums.data(), x.outer, parts, x.inner}, y);
  } else {
    detail::sum_parts(x, 1, y);
  }
}

}  // namespace cria::cuda
