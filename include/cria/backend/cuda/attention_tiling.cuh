#pragma once
/// How attention's kernels cut their work into tiles, and the way of rows between global memory, shared
/// memory and registers.

#include <cstdint>
#include <type_traits>

#include "cria/backend/cuda/mma.cuh"
#include "cria/backend/cuda/pack.cuh"
#include "cria/core/dtype.hpp"
#include "cria/core/view.hpp"

namespace cria::cuda::flash {

/// What a block works on. Columns is how many rows of the other side pass by at a time, Blocks how many
/// blocks share a multiprocessor, Tf32 whether tensor cores multiply floats.
template <class Element, int Dim, int RowBlocks, int Columns, int Blocks, int Warps = 4, bool Tf32 = false>
struct Tiling {
  using T = Element;
  static constexpr bool tensor_cores = on_tensor_cores<T> || (Tf32 && has_tf32);
  using A = acc_t<T>;
  static constexpr int dim = Dim;  // of a head, padded
  static constexpr int row_blocks = RowBlocks;
  static constexpr int warp_rows = 8 * RowBlocks;
  static constexpr int rows = warp_rows * Warps;
  static constexpr int columns = Columns;
  static constexpr int threads = 32 * Warps;
  static constexpr int blocks = Blocks;
  // 16 bytes more than the row: 8 rows in a column then lie in different banks.
  static constexpr int pitch = Dim + 16 / static_cast<int>(sizeof(T));
  static_assert(Dim % 16 == 0 && Columns % 16 == 0);
  static_assert((sizeof(T) > 2 && !Tf32) || RowBlocks % 2 == 0, "tensor cores multiply 16 rows");
};

/// A warp's matrix [8 RowBlocks, 8 ColumnBlocks], spread over its lanes as mma.sync has it: at[i][j][e] is
/// row 8 i + lane / 4, column 8 j + 2 (lane % 4) + e.
template <class A, int RowBlocks, int ColumnBlocks>
struct Fragment {
  A at[RowBlocks][ColumnBlocks][2] = {};
};
template <class S>
using Scores = Fragment<typename S::A, S::row_blocks, S::columns / 8>;  // [warp_rows, columns]
template <class S>
using Sums = Fragment<typename S::A, S::row_blocks, S::dim / 8>;  // [warp_rows, dim]

struct Lane {
  int index = static_cast<int>(threadIdx.x) % 32;
  int group = index / 4;
  int place = index % 4;
};

__device__ inline int warp() {
  return static_cast<int>(threadIdx.x) / 32;
}

/// Rows of one head: of a tensor [batch, length, heads, dim].
template <class T>
struct HeadRows {
  T* data;
  int stride;
  int count;  // up to the end of the sequence
  int dim;

  /// From position `first` on.
  __device__ HeadRows(const Heads<T>& x, int b, int h, int first)
      : data(x.at(b, first, h)),
        stride(static_cast<int>(x.row_stride)),
        count(static_cast<int>(x.length) - first),
        dim(static_cast<int>(x.dim)) {}
};

template <class S, int Bytes, class T, class Source, class... Other>
__device__ void fetch_chunks(T* to, int rows, int thread, int threads, const HeadRows<Source>& from,
                             const Other&... other) {
  constexpr int chunk = Bytes / static_cast<int>(sizeof(T)), chunks = S::dim / chunk;
#pragma unroll 1  // several at once would need the registers that sums are kept in
  for (int i = thread; i < rows * chunks; i += threads) {
    const int row = i / chunks, column = i % chunks * chunk;
    const bool valid = row < from.count && column < from.dim;
    T* chunk_to = to + row * S::pitch + column;
    const auto copy = [&](T* target, const auto& source) {
      copy_async<Bytes>(target, source.data + (valid ? row * source.stride + column : 0), valid);
    };
    copy(chunk_to, from);
    (copy(chunk_to + rows * S::pitch, other), ...);
  }
}

/// Begins to copy `rows` rows to shared memory [rows, pitch], zeros where there are none, and behind them
/// those of `other`, another tensor of this shape. `access` is how many bytes are moved at once. By the
/// threads [0, threads), of which the caller is `thread`.
template <class S, class T, class... Rows>
__device__ void fetch(T* to, int rows, int access, int thread, int threads, const Rows&... from) {
  static_assert(sizeof...(from) <= 2);
  if (access == 16) {
    fetch_chunks<S, 16>(to, rows, thread, threads, from...);
  } else if (sizeof(T) < 8 && access == 8) {
    fetch_chunks<S, 8>(to, rows, thread, threads, from...);
  } else {
    fetch_chunks<S, sizeof(T)>(to, rows, thread, threads, from...);
  }
}

/// The block begins to copy `rows` rows of one head of each tensor, from position `first` on.
template <class S, class T, class... X>
__device__ void fetch_block(T* to, int b, int h, int first, int rows, int access, const X&... x) {
  fetch<S>(to, rows, access, static_cast<int>(threadIdx.x), S::threads, HeadRows<const T>(x, b, h, first)...);
}

template <class S, int Bytes, class T>
__device__ void write_chunks(const HeadRows<T>& to, const T* from, const Lane& lane) {
  constexpr int chunk = Bytes / static_cast<int>(sizeof(T)), chunks = S::dim / chunk;
#pragma unroll 1
  for (int i = lane.index; i < S::warp_rows * chunks; i += 32) {
    const int row = i / chunks, column = i % chunks * chunk;
    if (row < to.count && column < to.dim) {
      store(to.data + row * to.stride + column, load<chunk>(from + row * S::pitch + column));
    }
  }
}

/// The warp's rows of a result: to = factor x, or to += factor x. By way of `staging`, shared memory
/// [warp_rows, pitch] of the warp's own, so that global memory is accessed in rows.
template <class S, class T = typename S::T>
__device__ void write(const Sums<S>& x, typename S::A factor, bool add, T* staging, const HeadRows<T>& to,
                      int access, const Lane& lane) {
  using A = typename S::A;
  __syncwarp();
  if (add) {
    fetch<S>(staging, S::warp_rows, access, lane.index, 32, to);
    wait_for_copies();
    __syncwarp();
  }
#pragma unroll
  for (int i = 0; i < S::row_blocks; ++i) {
#pragma unroll
    for (int j = 0; j < S::dim / 8; ++j) {
      T* pair = staging + (8 * i + lane.group) * S::pitch + 8 * j + 2 * lane.place;
      A low = x.at[i][j][0] * factor, high = x.at[i][j][1] * factor;
      if (add) {
        const Pack<T, 2> old = load<2>(pair);
        low += static_cast<A>(old.at[0]);
        high += static_cast<A>(old.at[1]);
      }
      if constexpr (sizeof(T) == 2) {
        *reinterpret_cast<std::uint32_t*>(pair) = pack<T>(low, high);
      } else {
        store(pair, Pack<T, 2>{{low, high}});
      }
    }
  }
  __syncwarp();
  if (access == 16) {
    write_chunks<S, 16>(to, staging, lane);
  } else if (sizeof(T) < 8 && access == 8) {
    write_chunks<S, 8>(to, staging, lane);
  } else {
    write_chunks<S, sizeof(T)>(to, staging, lane);
  }
}

}  // namespace cria::cuda::flash
