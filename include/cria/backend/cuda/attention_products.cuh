#pragma once
/// Products of a warp's matrices, on tensor cores where these multiply the type.

#include <bit>
#include <cstdint>
#include <type_traits>

#include "cria/backend/cuda/attention_tiling.cuh"
#include "cria/backend/cuda/mma.cuh"
#include "cria/backend/cuda/pack.cuh"

namespace cria::cuda::flash {

/// Floats, as they lie in memory, rounded as tensor cores take them; 16-bit elements are left alone.
template <class T>
__device__ __forceinline__ void round_operands(std::uint32_t (&operands)[4]) {
  if constexpr (std::is_same_v<T, float>) {
#pragma unroll
    for (auto& bits : operands) bits = tf32(std::bit_cast<float>(bits));
  }
}

template <class T>
__device__ __forceinline__ void multiply_add(float (&top)[2], float (&bottom)[2], const std::uint32_t (&a)[4],
                                             const std::uint32_t (&b)[2]) {
  if constexpr (std::is_same_v<T, float>) {
    mma_tf32(top, bottom, a, b);
  } else {
    mma<T>(top, bottom, a, b);
  }
}

/// sum [warp_rows, columns] += a [warp_rows, dim] b [columns, dim]^T, both in shared memory.
template <class S, class T = typename S::T>
__device__ void multiply_by_transposed(Scores<S>& sum, const T* a, const T* b, const Lane& lane) {
  if constexpr (S::tensor_cores) {
    // A row of ldmatrix is 16 bytes: 8 elements of 16 bits, or 4 floats, which a lane then gets one of.
    constexpr int chunk = 16 / static_cast<int>(sizeof(T));
    const T* a_row = a + lane.index % 16 * S::pitch + lane.index / 16 * chunk;
    const T* b_row = b + (lane.index % 8 + lane.index / 16 * 8) * S::pitch + lane.index / 8 % 2 * chunk;
#pragma unroll 2  // all at once would need registers for operands of later steps
    for (int k = 0; k < S::dim; k += 2 * chunk) {
      std::uint32_t left[S::row_blocks / 2][4];
#pragma unroll
      for (int i = 0; i < S::row_blocks / 2; ++i) {
        load_matrices(left[i], a_row + 16 * i * S::pitch + k);
        round_operands<T>(left[i]);
      }
#pragma unroll
      for (int j = 0; j < S::columns / 8; j += 2) {
        std::uint32_t right[4];
        load_matrices(right, b_row + 8 * j * S::pitch + k);
        round_operands<T>(right);
#pragma unroll
        for (int i = 0; i < S::row_blocks / 2; ++i) {
          multiply_add<T>(sum.at[2 * i][j], sum.at[2 * i + 1][j], left[i], {right[0], right[1]});
          multiply_add<T>(sum.at[2 * i][j + 1], sum.at[2 * i + 1][j + 1], left[i], {right[2], right[3]});
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
  if constexpr (S::tensor_cores && std::is_same_v<T, float>) {
    // The sum over 8 columns of a may take them in any order: a lane's two, 2 place and 2 place + 1, take the
    // places `place` and place + 4, and b's rows with them.
    const float* b_row = b + 2 * lane.place * S::pitch + lane.group;
#pragma unroll
    for (int k = 0; k < S::columns / 8; ++k) {
      std::uint32_t left[S::row_blocks / 2][4];
#pragma unroll
      for (int i = 0; i < S::row_blocks / 2; ++i) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          left[i][2 * e] = tf32(a.at[2 * i][k][e]);
          left[i][2 * e + 1] = tf32(a.at[2 * i + 1][k][e]);
        }
      }
#pragma unroll
      for (int j = 0; j < S::dim / 8; ++j) {
        const float* column = b_row + 8 * k * S::pitch + 8 * j;
        const std::uint32_t right[2] = {tf32(column[0]), tf32(column[S::pitch])};
#pragma unroll
        for (int i = 0; i < S::row_blocks / 2; ++i) {
          mma_tf32(sum.at[2 * i][j], sum.at[2 * i + 1][j], left[i], right);
        }
      }
    }
  } else if constexpr (S::tensor_cores) {
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
