#pragma once
/// Products of a warp's matrices, on tensor cores where these multiply the type.

#include <cstdint>

#include "cria/backend/cuda/attention_tiling.cuh"
#include "cria/backend/cuda/mma.cuh"
#include "cria/backend/cuda/pack.cuh"

namespace cria::cuda::flash {

/// sum [warp_rows, columns] += a [warp_rows, dim] b [columns, dim]^T, both in shared memory.
template <class S, class T = typename S::T>
__device__ void multiply_by_transposed(Scores<S>& sum, const T* a, const T* b, const Lane& lane) {
  if constexpr (on_tensor_cores<T>) {
    const T* a_row = a + lane.index % 16 * S::pitch + lane.index / 16 * 8;
    const T* b_row = b + (lane.index % 8 + lane.index / 16 * 8) * S::pitch + lane.index / 8 % 2 * 8;
#pragma unroll 2  // all at once would need registers for operands of later steps
    for (int k = 0; k < S::dim; k += 16) {
      std::uint32_t left[S::row_blocks / 2][4];
#pragma unroll
      for (int i = 0; i < S::row_blocks / 2; ++i) load_matrices(left[i], a_row + 16 * i * S::pitch + k);
#pragma unroll
      for (int j = 0; j < S::columns / 8; j += 2) {
        std::uint32_t right[4];
        load_matrices(right, b_row + 8 * j * S::pitch + k);
#pragma unroll
        for (int i = 0; i < S::row_blocks / 2; ++i) {
          mma<T>(sum.at[2 * i][j], sum.at[2 * i + 1][j], left[i], {right[0], right[1]});
          mma<T>(sum.at[2 * i][j + 1], sum.at[2 * i + 1][j + 1], left[i], {right[2], right[3]});
        }
      }
    }
  } else {
    using A = typename S::A;
    constexpr int chunk = 16 / static_cast<int>(sizeof(T));
#pragma unroll 1
    for (int k = 0; k < S::dim; k += chunk) {
      Pack<T, chunk> left[S::row_blocks];
#pragma unroll
      for (int i = 0; i < S::row_blocks; ++i) {
        left[i] = load<chunk>(a + (8 * i + lane.group) * S::pitch + k);
      }
#pragma unroll
      for (int j = 0; j < S::columns / 8; ++j) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const auto right = load<chunk>(b + (8 * j + 2 * lane.place + e) * S::pitch + k);
#pragma unroll
          for (int i = 0; i < S::row_blocks; ++i) {
#pragma unroll
            for (int c = 0; c < chunk; ++c) {
              sum.at[i][j][e] += static_cast<A>(left[i].at[c]) * static_cast<A>(right.at[c]);
            }
          }
        }
      }
    }
  }
}

/// sum [warp_rows, dim] += a [warp_rows, columns] b [columns, dim], b in shared memory.
template <class S, class T = typename S::T>
__device__ void multiply(Sums<S>& sum, const Scores<S>& a, const T* b, const Lane& lane) {
  if constexpr (on_tensor_cores<T>) {
    const T* b_row = b + lane.index % 16 * S::pitch + lane.index / 16 * 8;
#pragma unroll
    for (int k = 0; k < S::columns / 8; k += 2) {
      std::uint32_t left[S::row_blocks / 2][4];
#pragma unroll
      for (int i = 0; i < S::row_blocks; ++i) {
        left[i / 2][i % 2] = pack<T>(a.at[i][k][0], a.at[i][k][1]);
        left[i / 2][i % 2 + 2] = pack<T>(a.at[i][k + 1][0], a.at[i][k + 1][1]);
      }
#pragma unroll
      for (int j = 0; j < S::dim / 8; j += 2) {
        std::uint32_t right[4];
        load_matrices_transposed(right, b_row + 8 * k * S::pitch + 8 * j);
#pragma unroll
        for (int i = 0; i < S::row_blocks / 2; ++i) {
          mma<T>(sum.at[2 * i][j], sum.at[2 * i + 1][j], left[i], {right[0], right[1]});
          mma<T>(sum.at[2 * i][j + 1], sum.at[2 * i + 1][j + 1], left[i], {right[2], right[3]});
        }
      }
    }
  } else {
    using A = typename S::A;
#pragma unroll
    for (int k = 0; k < S::columns / 8; ++k) {
#pragma unroll 1
      for (int place = 0; place < 4; ++place) {  // whose columns of a
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const T* row = b + (8 * k + 2 * place + e) * S::pitch + 2 * lane.place;
          A left[S::row_blocks];
#pragma unroll
          for (int i = 0; i < S::row_blocks; ++i) left[i] = __shfl_sync(~0u, a.at[i][k][e], place, 4);
#pragma unroll
          for (int j = 0; j < S::dim / 8; ++j) {
            const auto right = load<2>(row + 8 * j);
#pragma unroll
            for (int i = 0; i < S::row_blocks; ++i) {
              sum.at[i][j][0] += left[i] * static_cast<A>(right.at[0]);
              sum.at[i][j][1] += left[i] * static_cast<A>(right.at[1]);
            }
          }
        }
      }
    }
  }
}

}  // namespace cria::cuda::flash
