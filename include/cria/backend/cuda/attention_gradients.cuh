#pragma once

#include <cstddef>
#include <cstdint>

#include "cria/backend/cuda/attention_block.cuh"
#include "cria/backend/cuda/attention_products.cuh"
#include "cria/backend/cuda/attention_tiling.cuh"
#include "cria/backend/cuda/mma.cuh"
#include "cria/backend/cuda/pack.cuh"
#include "cria/core/view.hpp"

namespace cria::cuda::flash {

template <class S>
constexpr std::size_t query_gradient_shared_memory = SharedTiles<S, 2>::bytes;

/// dq = scale dS k, with P the probabilities, dP = dy v^T and dS = P (dP - delta). Also stores delta = sum(dy
/// y) of each query for the kernel of the other gradients; without dq that is all it does.
template <class S, class T = typename S::T, class A = typename S::A>
__global__ void __launch_bounds__(S::threads, S::blocks)
    query_gradient_kernel(Heads<const T> dy, Heads<const T> q, Heads<const T> k, Heads<const T> v,
                          Heads<const T> y, Vec<const A> log_sum, Vec<A> delta, Gradient<Heads<T>> dq,
                          A scale, int access) {
  const SharedTiles<S, 2> shared;   // queries and dy; keys and values
  T* const outs = shared.first(1);  // [rows, pitch], before the second tile
  static_assert(shared.owned_size <= shared.stage_size);
  const Lane lane;
  const QueryBlock<S> block(q, k);

  const auto fetch_tile = [&](int tile) {
    fetch_block<S>(shared.first(tile), block.b, block.kv, tile * S::columns, S::columns, access, k, v);
  };
  fetch_block<S>(shared.owned, block.b, block.h, block.first, S::rows, access, q, dy);
  fetch_block<S>(outs, block.b, block.h, block.first, S::rows, access, y);
  if (dq) fetch_tile(0);
  wait_for_copies();
  __syncthreads();
  const T* own_outs = outs + warp() * S::warp_rows * S::pitch;
  A shift[S::row_blocks], own_delta[S::row_blocks];
#pragma unroll
  for (int i = 0; i < S::row_blocks; ++i) {
    const int row = (8 * i + lane.group) * S::pitch + 2 * lane.place;
    A dot = 0;
#pragma unroll
    for (int j = 0; j < S::dim / 8; ++j) {
      const auto dout = load<2>(shared.own(1) + row + 8 * j);
      const auto out = load<2>(own_outs + row + 8 * j);
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
  for_each_tile(block.tiles, fetch_tile, [&](int tile) {
    const int key = tile * S::columns;
    if (!block.sees(key)) return;
    Scores<S> p, dp;
    multiply_by_transposed<S>(p, shared.own(0), shared.first(tile), lane);
    multiply_by_transposed<S>(dp, shared.own(1), shared.second(tile), lane);
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
    multiply<S>(sum, dp, shared.first(tile), lane);
  });
  write<S>(sum, scale, !dq.fresh, shared.own(0), HeadRows<T>(dq, block.b, block.h, block.own), access, lane);
}

template <class S>
constexpr std::size_t key_gradient_shared_memory = SharedTiles<S, 2>::bytes +
                                                   4 * S::columns * sizeof(typename S::A);

/// dv = P^T dy and dk = scale dS^T q, summed over the query heads that share the key/value head.
template <class S, class T = typename S::T, class A = typename S::A>
__global__ void __launch_bounds__(S::threads, S::blocks)
    key_gradient_kernel(Heads<const T> dy, Heads<const T> q, Heads<const T> k, Heads<const T> v,
                        Vec<const A> log_sum, Vec<const A> delta, Gradient<Heads<T>> dk,
                        Gradient<Heads<T>> dv, A scale, int access) {
  const SharedTiles<S, 2> shared;  // keys and values; queries and dy
  // [2, {log_sum, delta}, columns]
  A* const statistics = reinterpret_cast<A*>(shared.stages + 2 * shared.stage_size);
  const Lane lane;
  const KeyBlock<S> block(q, k);

  const auto fetch_tile = [&](int tile) {
    const int h = block.head(tile), query = block.query(tile);
    fetch_block<S>(shared.first(tile), block.b, h, query, S::columns, access, q, dy);
    A* log_sums = statistics + tile % 2 * 2 * S::columns;
    const std::int64_t index = (std::int64_t{block.b} * q.heads + h) * block.length + query;
    for (int i = static_cast<int>(threadIdx.x); i < S::columns; i += S::threads) {
      const bool valid = query + i < block.length;
      copy_async<sizeof(A)>(log_sums + i, log_sum.data + (valid ? index + i : 0), valid);
      copy_async<sizeof(A)>(log_sums + S::columns + i, delta.data + (valid ? index + i : 0), valid);
    }
  };
  fetch_block<S>(shared.owned, block.b, block.kv, block.first, S::rows, access, k, v);
  if (block.tiles > 0) fetch_tile(0);

  Sums<S> key_sum, value_sum;
  const A factor = scale * static_cast<A>(log2_of_e);
  for_each_tile(block.tiles, fetch_tile, [&](int tile) {
    const int query = block.query(tile);
    if (!block.seen_from(query)) return;
    const A* log_sums = statistics + tile % 2 * 2 * S::columns;
    const A* deltas = log_sums + S::columns;
    Scores<S> p, dp;  // both transposed: [keys, queries]
    multiply_by_transposed<S>(p, shared.own(0), shared.first(tile), lane);
    multiply_by_transposed<S>(dp, shared.own(1), shared.second(tile), lane);
    hide<S, true>(p, query + block.offset - block.own, lane);
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
    multiply<S>(value_sum, p, shared.second(tile), lane);
    multiply<S>(key_sum, dp, shared.first(tile), lane);
  });
  wait_for_copies();  // of the keys, if no query sees them
  __syncthreads();
  if (dk) {
    const HeadRows<T> rows(dk, block.b, block.kv, block.own);
    write<S>(key_sum, scale, !dk.fresh, shared.own(0), rows, access, lane);
  }
  if (dv) {
    const HeadRows<T> rows(dv, block.b, block.kv, block.own);
    write<S>(value_sum, A(1), !dv.fresh, shared.own(1), rows, access, lane);
  }
}

}  // namespace cria::cuda::flash
