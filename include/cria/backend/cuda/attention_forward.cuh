#pragma once

#include <cmath>
#include <cstddef>

#include "cria/backend/cuda/attention_block.cuh"
#include "cria/backend/cuda/attention_products.cuh"
#include "cria/backend/cuda/attention_tiling.cuh"
#include "cria/backend/cuda/mma.cuh"
#include "cria/core/view.hpp"

namespace cria::cuda::flash {

template <class S>
constexpr std::size_t forward_shared_memory = SharedTiles<S, 1>::bytes;

/// y = softmax(scale q k^T) v, the softmax corrected whenever a tile brings a larger score.
template <class S, class T = typename S::T, class A = typename S::A>
__global__ void __launch_bounds__(S::threads, S::blocks)
    forward_kernel(Heads<const T> q, Heads<const T> k, Heads<const T> v, Heads<T> y, Vec<A> log_sum, A scale,
                   int access) {
  const SharedTiles<S, 1> shared;  // queries; keys and values
  const Lane lane;
  const QueryBlock<S> block(q, k);

  const auto fetch_tile = [&](int tile) {
    fetch_block<S>(shared.first(tile), block.b, block.kv, tile * S::columns, S::columns, access, k, v);
  };
  fetch_block<S>(shared.owned, block.b, block.h, block.first, S::rows, access, q);
  fetch_tile(0);

  Sums<S> out;
  A maximum[S::row_blocks], sum[S::row_blocks] = {};
  for (A& x : maximum) x = -infinity<A>;
  const A factor = scale * static_cast<A>(log2_of_e);
  for_each_tile(block.tiles, fetch_tile, [&](int tile) {
    const int key = tile * S::columns;
    if (!block.sees(key)) return;
    Scores<S> p;
    multiply_by_transposed<S>(p, shared.own(0), shared.first(tile), lane);
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
    multiply<S>(out, p, shared.second(tile), lane);
  });
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
  write<S>(out, A(1), false, shared.own(0), HeadRows(y, block.b, block.h, block.own), access, lane);
}

}  // namespace cria::cuda::flash
