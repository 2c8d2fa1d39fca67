#pragma once
/// Attention on CUDA, without ever storing the scores (Dao 2023, FlashAttention-2). A warp owns some rows:
/// queries in forward and for dq, keys for dk and dv. Tiles of the other side pass by in shared memory, and
/// what is computed from them, scores and their gradients, stays in registers: as mma.sync lays its sums out,
/// they are the left operands of the next product. Scores are computed once more for dk and dv instead of
/// being shared with dq, so that each gradient is summed by one warp in a fixed order, without atomics.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "cria/backend/cuda/cuda.hpp"
#include "cria/backend/cuda/launch.hpp"
#include "cria/backend/cuda/mma.cuh"
#include "cria/backend/cuda/pack.cuh"
#include "cria/backend/cuda/portability.cuh"
#include "cria/core/error.hpp"
#include "cria/core/operations.hpp"

namespace cria::cuda::flash {

/// What a block works on. Columns is how many rows of the other side pass by at a time, Blocks how many
/// blocks share a multiprocessor.
template <class Element, int Dim, int RowBlocks, int Columns, int Blocks, int Warps = 4>
struct Tiling {
  using T = Element;
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
  static_assert(sizeof(T) > 2 || RowBlocks % 2 == 0, "tensor cores multiply 16 rows");
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

/// What a row's four lanes hold, together.
template <class A>
__device__ A row_sum(A x) {
  x += __shfl_xor_sync(~0u, x, 1);
  return x + __shfl_xor_sync(~0u, x, 2);
}
template <class A>
__device__ A row_maximum(A x) {
  x = std::fmax(x, __shfl_xor_sync(~0u, x, 1));
  return std::fmax(x, __shfl_xor_sync(~0u, x, 2));
}

template <class A>
constexpr A infinity = std::numeric_limits<A>::infinity();

/// Minus infinity for the scores of keys that come after the query. `limit` is how far the first row's or
/// column's query is after the first key.
template <class S, bool KeysAreRows>
__device__ void hide(Scores<S>& scores, int limit, const Lane& lane) {
  if (limit >= (KeysAreRows ? S::warp_rows : S::columns) - 1) return;  // every query sees every key
  const int row_after_column = lane.group - 2 * lane.place;            // in block (0, 0), element 0
#pragma unroll
  for (int i = 0; i < S::row_blocks; ++i) {
#pragma unroll
    for (int j = 0; j < S::columns / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int shift = 8 * j + e - 8 * i;
        const bool hidden = KeysAreRows ? shift < row_after_column - limit : shift > row_after_column + limit;
        if (hidden) scores.at[i][j][e] = -infinity<typename S::A>;
      }
    }
  }
}

inline constexpr double log2_of_e = 1.4426950408889634;

/// The block's tiles of the other side in shared memory: while one is computed with, the next one arrives.
template <class S>
constexpr int stage_size = 2 * S::columns* S::pitch;

/// The queries that a block owns, those of the calling warp, and the keys that they see.
template <class S>
struct QueryBlock {
  int b, h, kv;  // sequence, head, key/value head
  int length;
  int offset;               // position of query 0 among the keys
  int first;                // the block's first query
  int own;                  // the warp's first query
  int tiles;                // of keys, up to the last that any of the queries sees
  std::int64_t statistics;  // of the head's first query in [batch, heads, length]

  template <class T>
  __device__ QueryBlock(const Heads<const T>& q, const Heads<const T>& k) {
    const int heads = static_cast<int>(q.heads);
    b = static_cast<int>(blockIdx.x) / heads;
    h = static_cast<int>(blockIdx.x) % heads;
    kv = h / (heads / static_cast<int>(k.heads));
    length = static_cast<int>(q.length);
    offset = static_cast<int>(k.length) - length;
    // The last queries see the most keys: their blocks start first.
    first = static_cast<int>(gridDim.y - 1 - blockIdx.y) * S::rows;
    own = first + warp() * S::warp_rows;
    tiles = (std::min(first + S::rows, length) + offset + S::columns - 1) / S::columns;
    statistics = (std::int64_t{b} * heads + h) * length;
  }

  /// Whether any of the warp's queries sees a key of the tile that begins with `key`.
  __device__ bool sees(int key) const { return own < length && key < own + S::warp_rows + offset; }
};

template <class S>
constexpr std::size_t forward_shared_memory = (S::rows * S::pitch + 2 * stage_size<S>)*sizeof(typename S::T);

template <class S, class T = typename S::T, class A = typename S::A>
__global__ void __launch_bounds__(S::threads, S::blocks)
    forward_kernel(Heads<const T> q, Heads<const T> k, Heads<const T> v, Heads<T> y, Vec<A> log_sum, A scale,
                   int access) {
  T* const queries = reinterpret_cast<T*>(dynamic_shared_memory());  // [rows, pitch]
  T* const stages = queries + S::rows * S::pitch;                    // [2, {keys, values}, columns, pitch]
  const Lane lane;
  const QueryBlock<S> block(q, k);
  T* const own_queries = queries + warp() * S::warp_rows * S::pitch;

  const auto fetch_tile = [&](int tile) {
    fetch_block<S>(stages + tile % 2 * stage_size<S>, block.b, block.kv, tile * S::columns, S::columns,
                   access, k, v);
  };
  fetch_block<S>(queries, block.b, block.h, block.first, S::rows, access, q);
  fetch_tile(0);

  Sums<S> out;
  A maximum[S::row_blocks], sum[S::row_blocks] = {};
  for (A& x : maximum) x = -infinity<A>;
  const A factor = scale * static_cast<A>(log2_of_e);
  for (int tile = 0; tile < block.tiles; ++tile) {
    wait_for_copies();
    __syncthreads();  // the tile is there, and the one before it is used up
    if (tile + 1 < block.tiles) fetch_tile(tile + 1);
    const int key = tile * S::columns;
    if (!block.sees(key)) continue;
    const T* keys = stages + tile % 2 * stage_size<S>;
    Scores<S> p;
    multiply_by_transposed<S>(p, own_queries, keys, lane);
    hide<S, false>(p, block.own + block.offset - key, lane);
#pragma unroll
    for (int i = 0; i < S::row_blocks; ++i) {
      A top = maximum[i];
#pragma unroll
      for (int j = 0; j < S::columns / 8; ++j) top = std::fmax(top, std::fmax(p.at[i][j][0], p.at[i][j][1]));
      top = row_maximum(top);
      const A shrink = fast_exp2((maximum[i] - top) * factor);
      maximum[i] = top;
      sum[i] *= shrink;
      const A shift = top * factor;
#pragma unroll
      for (int j = 0; j < S::columns / 8; ++j) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          p.at[i][j][e] = fast_exp2(p.at[i][j][e] * factor - shift);
          sum[i] += p.at[i][j][e];
        }
      }
#pragma unroll
      for (int j = 0; j < S::dim / 8; ++j) {
        out.at[i][j][0] *= shrink;
        out.at[i][j][1] *= shrink;
      }
    }
    multiply<S>(out, p, keys + S::columns * S::pitch, lane);
  }
#pragma unroll
  for (int i = 0; i < S::row_blocks; ++i) {
    const A total = row_sum(sum[i]);
#pragma unroll
    for (int j = 0; j < S::dim / 8; ++j) {
      out.at[i][j][0] /= total;
      out.at[i][j][1] /= total;
    }
    const int query = block.own + 8 * i + lane.group;
    if (lane.place == 0 && query < block.length) {
      log_sum[block.statistics + query] = maximum[i] * scale + std::log(total);
    }
  }
  write<S>(out, A(1), false, own_queries, HeadRows(y, block.b, block.h, block.own), access, lane);
}

template <class S>
constexpr std::size_t query_gradient_shared_memory = (2 * S::rows * S::pitch +
                                                      2 * stage_size<S>)*sizeof(typename S::T);

/// dq = scale dS k, with P the probabilities, dP = dy v^T and dS = P (dP - delta). Also stores delta = sum(dy
/// y) of each query for the kernel of the other gradients; without dq that is all it does.
template <class S, class T = typename S::T, class A = typename S::A>
__global__ void __launch_bounds__(S::threads, S::blocks)
    query_gradient_kernel(Heads<const T> dy, Heads<const T> q, Heads<const T> k, Heads<const T> v,
                          Heads<const T> y, Vec<const A> log_sum, Vec<A> delta, Gradient<Heads<T>> dq,
                          A scale, int access) {
  static_assert(S::rows * S::pitch <= stage_size<S>);
  T* const queries = reinterpret_cast<T*>(dynamic_shared_memory());  // [rows, pitch]
  T* const douts = queries + S::rows * S::pitch;                     // [rows, pitch]
  T* const stages = douts + S::rows * S::pitch;                      // [2, {keys, values}, columns, pitch]
  T* const outs = stages + stage_size<S>;                            // [rows, pitch], before the second tile
  const Lane lane;
  const QueryBlock<S> block(q, k);
  const int own_offset = warp() * S::warp_rows * S::pitch;

  const auto fetch_tile = [&](int tile) {
    fetch_block<S>(stages + tile % 2 * stage_size<S>, block.b, block.kv, tile * S::columns, S::columns,
                   access, k, v);
  };
  fetch_block<S>(queries, block.b, block.h, block.first, S::rows, access, q, dy);
  fetch_block<S>(outs, block.b, block.h, block.first, S::rows, access, y);
  if (dq) fetch_tile(0);
  wait_for_copies();
  __syncthreads();
  A shift[S::row_blocks], own_delta[S::row_blocks];
#pragma unroll
  for (int i = 0; i < S::row_blocks; ++i) {
    const int row = own_offset + (8 * i + lane.group) * S::pitch + 2 * lane.place;
    A dot = 0;
#pragma unroll
    for (int j = 0; j < S::dim / 8; ++j) {
      const auto dout = load<2>(douts + row + 8 * j);
      const auto out = load<2>(outs + row + 8 * j);
      dot += static_cast<A>(dout.at[0]) * static_cast<A>(out.at[0]);
      dot += static_cast<A>(dout.at[1]) * static_cast<A>(out.at[1]);
    }
    own_delta[i] = row_sum(dot);
    const int query = block.own + 8 * i + lane.group;
    const std::int64_t index = block.statistics + query;
    shift[i] = query < block.length ? log_sum[index] * static_cast<A>(log2_of_e) : A(0);
    if (lane.place == 0 && query < block.length) delta[index] = own_delta[i];
  }
  if (!dq) return;

  Sums<S> sum;
  const A factor = scale * static_cast<A>(log2_of_e);
  for (int tile = 0; tile < block.tiles; ++tile) {
    wait_for_copies();
    __syncthreads();
    if (tile + 1 < block.tiles) fetch_tile(tile + 1);
    const int key = tile * S::columns;
    if (!block.sees(key)) continue;
    const T* keys = stages + tile % 2 * stage_size<S>;
    Scores<S> p, dp;
    multiply_by_transposed<S>(p, queries + own_offset, keys, lane);
    multiply_by_transposed<S>(dp, douts + own_offset, keys + S::columns * S::pitch, lane);
    hide<S, false>(p, block.own + block.offset - key, lane);
#pragma unroll
    for (int i = 0; i < S::row_blocks; ++i) {
#pragma unroll
      for (int j = 0; j < S::columns / 8; ++j) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const A probability = fast_exp2(p.at[i][j][e] * factor - shift[i]);
          dp.at[i][j][e] = probability * (dp.at[i][j][e] - own_delta[i]);
        }
      }
    }
    multiply<S>(sum, dp, keys, lane);
  }
  write<S>(sum, scale, !dq.fresh, queries + own_offset, HeadRows<T>(dq, block.b, block.h, block.own), access,
           lane);
}

template <class S>
constexpr std::size_t key_gradient_shared_memory = (2 * S::rows * S::pitch +
                                                    2 * stage_size<S>)*sizeof(typename S::T) +
                                                   4 * S::columns * sizeof(typename S::A);

/// dv = P^T dy and dk = scale dS^T q, summed over the query heads that share the key/value head.
template <class S, class T = typename S::T, class A = typename S::A>
__global__ void __launch_bounds__(S::threads, S::blocks)
    key_gradient_kernel(Heads<const T> dy, Heads<const T> q, Heads<const T> k, Heads<const T> v,
                        Vec<const A> log_sum, Vec<const A> delta, Gradient<Heads<T>> dk,
                        Gradient<Heads<T>> dv, A scale, int access) {
  T* const keys = reinterpret_cast<T*>(dynamic_shared_memory());           // [rows, pitch]
  T* const values = keys + S::rows * S::pitch;                             // [rows, pitch]
  T* const stages = values + S::rows * S::pitch;                           // [2, {q, dy}, columns, pitch]
  A* const statistics = reinterpret_cast<A*>(stages + 2 * stage_size<S>);  // [2, {log_sum, delta}, columns]
  const Lane lane;
  const int thread = static_cast<int>(threadIdx.x);
  const int kv_heads = static_cast<int>(k.heads), length = static_cast<int>(q.length);
  const int group = static_cast<int>(q.heads) / kv_heads;
  const int b = static_cast<int>(blockIdx.x) / kv_heads, kv = static_cast<int>(blockIdx.x) % kv_heads;
  const int offset = static_cast<int>(k.length) - length;
  const int keys_length = static_cast<int>(k.length);
  const int first = static_cast<int>(blockIdx.y) * S::rows;  // the first keys are seen by the most queries
  const int own = first + warp() * S::warp_rows;
  const int own_offset = warp() * S::warp_rows * S::pitch;
  const int first_tile = std::max(first - offset, 0) / S::columns;  // where queries begin to see the keys
  const int head_tiles = std::max((length + S::columns - 1) / S::columns - first_tile, 0);
  const int tiles = group * head_tiles;

  const auto fetch_tile = [&](int tile) {
    const int h = kv * group + tile / head_tiles, query = (first_tile + tile % head_tiles) * S::columns;
    fetch_block<S>(stages + tile % 2 * stage_size<S>, b, h, query, S::columns, access, q, dy);
    A* log_sums = statistics + tile % 2 * 2 * S::columns;
    const std::int64_t index = (std::int64_t{b} * q.heads + h) * length + query;
    for (int i = thread; i < S::columns; i += S::threads) {
      const bool valid = query + i < length;
      copy_async<sizeof(A)>(log_sums + i, log_sum.data + (valid ? index + i : 0), valid);
      copy_async<sizeof(A)>(log_sums + S::columns + i, delta.data + (valid ? index + i : 0), valid);
    }
  };
  fetch_block<S>(keys, b, kv, first, S::rows, access, k, v);
  if (tiles > 0) fetch_tile(0);

  Sums<S> key_sum, value_sum;
  const A factor = scale * static_cast<A>(log2_of_e);
  for (int tile = 0; tile < tiles; ++tile) {
    wait_for_copies();
    __syncthreads();
    if (tile + 1 < tiles) fetch_tile(tile + 1);
    const int query = (first_tile + tile % head_tiles) * S::columns;
    const bool seen = own < keys_length && own < query + S::columns + offset;
    if (!seen) continue;
    const T* queries = stages + tile % 2 * stage_size<S>;
    const T* douts = queries + S::columns * S::pitch;
    const A* log_sums = statistics + tile % 2 * 2 * S::columns;
    const A* deltas = log_sums + S::columns;
    Scores<S> p, dp;  // both transposed: [keys, queries]
    multiply_by_transposed<S>(p, keys + own_offset, queries, lane);
    multiply_by_transposed<S>(dp, values + own_offset, douts, lane);
    hide<S, true>(p, query + offset - own, lane);
#pragma unroll
    for (int j = 0; j < S::columns / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int column = 8 * j + 2 * lane.place + e;
        const A shift = log_sums[column] * static_cast<A>(log2_of_e), own_delta = deltas[column];
#pragma unroll
        for (int i = 0; i < S::row_blocks; ++i) {
          const A probability = fast_exp2(p.at[i][j][e] * factor - shift);
          p.at[i][j][e] = probability;
          dp.at[i][j][e] = probability * (dp.at[i][j][e] - own_delta);
        }
      }
    }
    multiply<S>(value_sum, p, douts, lane);
    multiply<S>(key_sum, dp, queries, lane);
  }
  wait_for_copies();  // of the keys, if no query sees them
  __syncthreads();
  if (dk) write<S>(key_sum, scale, !dk.fresh, keys + own_offset, HeadRows<T>(dk, b, kv, own), access, lane);
  if (dv)
    write<S>(value_sum, A(1), !dv.fresh, values + own_offset, HeadRows<T>(dv, b, kv, own), access, lane);
}

/// The tilings of an element type and head_dim. More rows to a warp mean less traffic from shared memory,
/// fewer registers more warps to hide latencies with; no registers are spilled, two blocks of 16-bit elements
/// or more fit the shared memory of an sm_80, and one block of any type the 99 KiB of an sm_86.
template <class T, int Dim>
struct Tilings {
  using Forward = Tiling<T, Dim, (Dim <= 96 ? 4 : 2), 32, (Dim == 96 ? 2 : 3)>;
  using QueryGradient = Tiling<T, Dim, 2, (Dim <= 64 ? 64 : 32), (Dim <= 96 ? 3 : 2)>;
  using KeyGradient = Tiling<T, Dim, 2, (Dim <= 64 ? 64 : 32), (Dim <= 48 ? 3 : 2)>;
};
template <int Dim>
struct Tilings<float, Dim> {
  using Forward = Tiling<float, Dim, 2, 32, 2>;
  using QueryGradient = std::conditional_t<(Dim <= 64), Forward, Tiling<float, Dim, 2, 16, 2, 2>>;
  using KeyGradient = QueryGradient;
};
template <int Dim>
struct Tilings<double, Dim> {
  using Forward = Tiling<double, Dim, 1, 16, 1, (Dim <= 96 ? 4 : 2)>;
  using QueryGradient = Forward;
  using KeyGradient = Forward;
};

/// What a block may have on every device from sm_80 on.
inline constexpr std::size_t least_shared_memory = 99 * 1024;

/// Calls f with the padded head_dim. Throws ShapeError if it is too large.
template <class F>
void with_padded_dim(std::int64_t dim, F f) {
  if (dim <= 48) return f(std::integral_constant<int, 48>());
  if (dim <= 64) return f(std::integral_constant<int, 64>());
  if (dim <= 96) return f(std::integral_constant<int, 96>());
  if (dim <= 128) return f(std::integral_constant<int, 128>());
  throw ShapeError("attention: q.dim(3) = " + std::to_string(dim) + "; on CUDA it may be at most 128");
}

/// The bytes that all rows of these tensors can be moved by at once: 16, 8 or sizeof(T).
template <class T, class... X>
int common_access(const X&... x) {
  const auto bits = [](const Heads<const T>& heads) {
    const std::int64_t elements = heads.dim | heads.row_stride | heads.batch_stride;
    return reinterpret_cast<std::uintptr_t>(heads.data) | static_cast<std::uintptr_t>(elements) * sizeof(T);
  };
  const std::uintptr_t all = (bits(x) | ...);
  return all % 16 == 0 ? 16 : all % 8 == 0 ? 8 : static_cast<int>(sizeof(T));
}

/// Blocks for all rows of x: [sequences * heads, tiles of a head].
template <class S, class T>
dim3 grid(const Heads<const T>& x) {
  return dim3(static_cast<unsigned>(x.batch * x.heads),
              static_cast<unsigned>((x.length + S::rows - 1) / S::rows));
}

template <class A, class T>
A score_scale(const Heads<const T>& q) {
  return A(1) / std::sqrt(static_cast<A>(q.dim));
}

}  // namespace cria::cuda::flash

namespace cria {

template <>
struct kernel<ops::Attention, Cuda> {
  template <class T, class A>
  static void forward(Heads<const T> q, Heads<const T> k, Heads<const T> v, Heads<T> y, Vec<A> log_sum) {
    namespace flash = cuda::flash;
    const int access = flash::common_access<T>(q, k, v, y);
    flash::with_padded_dim(q.dim, [&](auto dim) {
      using S = typename flash::Tilings<T, dim()>::Forward;
      static_assert(flash::forward_shared_memory<S> <= flash::least_shared_memory);
      cuda::launch(flash::forward_kernel<S>, flash::grid<S>(q), S::threads, flash::forward_shared_memory<S>,
                   q, k, v, y, log_sum, flash::score_scale<A>(q), access);
    });
  }

  template <class T, class A>
  static void backward(Heads<const T> dy, Heads<const T> q, Heads<const T> k, Heads<const T> v,
                       Heads<const T> y, Vec<const A> log_sum, Gradient<Heads<T>> dq, Gradient<Heads<T>> dk,
                       Gradient<Heads<T>> dv) {
    namespace flash = cuda::flash;
    const int access = flash::common_access<T>(dy, q, k, v, y, dq, dk, dv);
    const A scale = flash::score_scale<A>(q);
    const cuda::Scratch<A> delta(log_sum.size);
    flash::with_padded_dim(q.dim, [&](auto dim) {
      using S = typename flash::Tilings<T, dim()>::QueryGradient;
      static_assert(flash::query_gradient_shared_memory<S> <= flash::least_shared_memory);
      cuda::launch(flash::query_gradient_kernel<S>, flash::grid<S>(q), S::threads,
                   flash::query_gradient_shared_memory<S>, dy, q, k, v, y, log_sum, delta.vec(), dq, scale,
                   access);
      if (!dk && !dv) return;
      using K = typename flash::Tilings<T, dim()>::KeyGradient;
      static_assert(flash::key_gradient_shared_memory<K> <= flash::least_shared_memory);
      cuda::launch(flash::key_gradient_kernel<K>, flash::grid<K>(k), K::threads,
                   flash::key_gradient_shared_memory<K>, dy, q, k, v, log_sum, delta.vec(), dk, dv, scale,
                   access);
    });
  }
};

}  // namespace cria
