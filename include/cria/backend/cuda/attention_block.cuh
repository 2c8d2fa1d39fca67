#pragma once
/// What a block of attention's kernels works on, and how it goes through the tiles of the other side.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "cria/backend/cuda/attention_tiling.cuh"
#include "cria/backend/cuda/mma.cuh"
#include "cria/backend/cuda/portability.cuh"
#include "cria/core/view.hpp"

namespace cria::cuda::flash {

inline constexpr double log2_of_e = 1.4426950408889634;

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

/// A block's shared memory: the rows that it owns of some tensors, and two stages for tiles of two tensors of
/// the other side, so that one arrives while the one before it is computed with.
template <class S, int Tensors>
struct SharedTiles {
  using T = typename S::T;
  static constexpr int owned_size = S::rows * S::pitch, stage_size = 2 * S::columns * S::pitch;
  static constexpr std::size_t bytes = (Tensors * owned_size + 2 * stage_size) * sizeof(T);

  T* owned = reinterpret_cast<T*>(dynamic_shared_memory());  // [tensors, rows, pitch]
  T* stages = owned + Tensors * owned_size;                  // [2, {two tensors}, columns, pitch]

  /// The calling warp's rows of a tensor.
  __device__ T* own(int tensor) const {
    return owned + tensor * owned_size + warp() * S::warp_rows * S::pitch;
  }
  /// Where a tile of the first tensor arrives, and of the second behind it.
  __device__ T* first(int tile) const { return stages + tile % 2 * stage_size; }
  __device__ T* second(int tile) const { return first(tile) + S::columns * S::pitch; }
};

/// Calls compute(tile) for all tiles, of which the first is on its way. fetch(tile) begins to bring the next.
template <class Fetch, class Compute>
__device__ __forceinline__ void for_each_tile(int tiles, const Fetch& fetch, const Compute& compute) {
  for (int tile = 0; tile < tiles; ++tile) {
    wait_for_copies();
    __syncthreads();  // the tile is there, and the one before it is used up
    if (tile + 1 < tiles) fetch(tile + 1);
    compute(tile);
  }
}

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

/// The keys that a block owns, those of the calling warp, and the queries that see them.
template <class S>
struct KeyBlock {
  int b, kv;   // sequence, key/value head
  int group;   // query heads that read it
  int length;  // of the queries
  int keys_length;
  int offset;      // position of query 0 among the keys
  int first;       // the block's first key
  int own;         // the warp's first key
  int first_tile;  // of queries, where they begin to see the keys
  int head_tiles;  // from there on
  int tiles;       // of all query heads of the group

  template <class T>
  __device__ KeyBlock(const Heads<const T>& q, const Heads<const T>& k) {
    const int kv_heads = static_cast<int>(k.heads);
    b = static_cast<int>(blockIdx.x) / kv_heads;
    kv = static_cast<int>(blockIdx.x) % kv_heads;
    group = static_cast<int>(q.heads) / kv_heads;
    length = static_cast<int>(q.length);
    keys_length = static_cast<int>(k.length);
    offset = keys_length - length;
    first = static_cast<int>(blockIdx.y) * S::rows;  // the first keys are seen by the most queries
    own = first + warp() * S::warp_rows;
    first_tile = std::max(first - offset, 0) / S::columns;
    head_tiles = std::max((length + S::columns - 1) / S::columns - first_tile, 0);
    tiles = group * head_tiles;
  }

  /// The query head of a tile, and its first query.
  __device__ int head(int tile) const { return kv * group + tile / head_tiles; }
  __device__ int query(int tile) const { return (first_tile + tile % head_tiles) * S::columns; }

  /// Whether any of the queries from `query` on in a tile sees a key of the warp's.
  __device__ bool seen_from(int query) const {
    return own < keys_length && own < query + S::columns + offset;
  }
};

}  // namespace cria::cuda::flash
