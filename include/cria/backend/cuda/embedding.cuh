#pragma once

#include <algorithm>

#include "cria/backend/cuda/indices.cuh"
#include "cria/backend/cuda/pack.cuh"
#include "cria/core/operations.hpp"

namespace cria {

namespace cuda {

/// y[i] = weight[tokens[i]]; zeros for a token outside the vocabulary, about which the host will throw.
template <int Size, class T>
__global__ void __launch_bounds__(block_size)
    embedding_kernel(Vec<const std::int32_t> tokens, Rows<const T> weight, Rows<T> y) {
  const std::int64_t packs = y.cols / Size;
  for (std::int64_t item = first_item(); item < tokens.size * packs; item += item_stride()) {
    const std::int64_t i = item / packs, j = item % packs * Size;
    const std::int32_t token = tokens[i];
    Pack<T, Size> pack{};
    if (token >= 0 && token < weight.rows) pack = load<Size>(weight.row(token) + j);
    store(y.row(i) + j, pack);
  }
}

/// Vocabulary rows whose gradients a block sums up, and columns of them.
inline constexpr std::int64_t gradient_rows = 8, gradient_columns = 512;

/// A block looks through all tokens for those of its rows and adds up what belongs to them in the order of
/// the tokens, in shared memory: sums [gradient_rows, columns], in double since a token may occur millions of
/// times. A thread always has the same columns. No sum depends on timing, and no row is visited that has
/// nothing to add but once, at the end.
template <class T, class A>
__global__ void __launch_bounds__(block_size)
    embedding_backward_kernel(Rows<const T> dy, Vec<const std::int32_t> tokens, Gradient<Rows<A>> dweight) {
  __shared__ std::int32_t found[block_size];  // place in this round of tokens * gradient_rows + row
  __shared__ int found_by_warp[block_size / 32];
  double* const sums = static_cast<double*>(dynamic_shared_memory());
  const std::int64_t first_row = blockIdx.x * gradient_rows, first_column = blockIdx.y * gradient_columns;
  const auto rows = static_cast<int>(std::min(+gradient_rows, dweight.rows - first_row));
  const auto columns = static_cast<int>(std::min(+gradient_columns, dweight.cols - first_column));
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  for (int j = thread; j < columns; j += block_size) {
    for (int r = 0; r < rows; ++r) sums[r * columns + j] = 0;
  }
  for (std::int64_t round = 0; round < tokens.size; round += block_size) {
    const std::int64_t row = round + thread < tokens.size ? tokens[round + thread] - first_row : -1;
    const bool mine = row >= 0 && row < rows;
    const unsigned votes = __ballot_sync(0xFFFFFFFFu, mine);
    if (lane == 0) found_by_warp[warp] = __popc(votes);
    __syncthreads();
    int before = __popc(votes & ((1u << lane) - 1)), count = 0;
    for (int w = 0; w < block_size / 32; ++w) {
      if (w < warp) before += found_by_warp[w];
      count += found_by_warp[w];
    }
    if (mine) found[before] = static_cast<std::int32_t>(thread * gradient_rows + row);
    __syncthreads();  // and once more before `found` changes: the next round's first
    for (int j = thread; j < columns; j += block_size) {
      const T* column = dy.data + first_column + j;
      for (int f = 0; f < count; ++f) {
        const std::int64_t i = round + found[f] / gradient_rows;
        sums[found[f] % gradient_rows * columns + j] += static_cast<double>(wide(column[i * dy.cols]));
      }
    }
  }
  for (int j = thread; j < columns; j += block_size) {
    for (int r = 0; r < rows; ++r) {
      A& to = dweight.row(first_row + r)[first_column + j];
      const A sum = static_cast<A>(sums[r * columns + j]);
      to = dweight.fresh ? sum : to + sum;
    }
  }
}

}  // namespace cuda

template <>
struct kernel<ops::Embedding, Cuda> {
  template <class T>
  static void forward(Vec<const std::int32_t> tokens, Rows<const T> weight, Rows<T> y) {
    cuda::check_indices(cuda::IndexError::embedding_token, tokens, weight.rows);
    constexpr int width = cuda::widest<T>;
    const bool packs = y.cols % width == 0 && cuda::packs_fit<width>(weight.data, y.data);
    cuda::launch(packs ? cuda::embedding_kernel<width, T> : cuda::embedding_kernel<1, T>,
                 cuda::grid_for(y.rows * y.cols / (packs ? width : 1)), cuda::block_size, 0, tokens, weight,
                 y);
  }

  template <class T, class A>
  static void backward(Rows<const T> dy, Vec<const std::int32_t> tokens, Gradient<Rows<A>> dweight) {
    if (!dweight) return;
    const std::int64_t columns = std::min(dweight.cols, cuda::gradient_columns);
    const dim3 grid(
        static_cast<unsigned>((dweight.rows + cuda::gradient_rows - 1) / cuda::gradient_rows),
        static_cast<unsigned>((dweight.cols + cuda::gradient_columns - 1) / cuda::gradient_columns));
    cuda::launch(cuda::embedding_backward_kernel<T, A>, grid, cuda::block_size,
                 static_cast<std::size_t>(cuda::gradient_rows * columns) * sizeof(double), dy, tokens,
                 dweight);
  }
};

}  // namespace cria
