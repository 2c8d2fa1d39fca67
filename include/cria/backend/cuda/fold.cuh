#pragma once
/// What elements of a loop make together, in parts whose number depends on the shape alone.

#include <algorithm>

#include "cria/backend/cuda/block_reduce.cuh"
#include "cria/backend/cuda/cuda.hpp"
#include "cria/backend/cuda/launch.hpp"
#include "cria/core/broadcast.hpp"
#include "cria/core/division.hpp"
#include "cria/core/reductions.hpp"

namespace cria::cuda {

/// A loop's dimensions along which one input moves, or along which it is repeated.
struct LoopAxes {
  int rank = 0;
  std::int64_t size = 1;
  std::int64_t dims[Shape::max_rank];
  std::int64_t strides[Shape::max_rank];  // of the result

  void add(std::int64_t dim, std::int64_t stride) {
    dims[rank] = dim;
    strides[rank++] = stride;
    size *= dim;
  }
  /// The first element of the result that has number `index` along these dimensions.
  __device__ std::int64_t at(std::int64_t index) const {
    std::int64_t offset = 0;
    for (int axis = 0; axis < Shape::max_rank; ++axis) {
      if (axis >= rank) break;
      const bool is_last = axis + 1 == rank;  // then the division is saved
      const Divided by = is_last ? Divided{0, index} : divided(index, dims[axis]);
      offset += by.rest * strides[axis];
      index = by.quotient;
    }
    return offset;
  }
};

template <class R, class A>
void fold_columns(Rows<const A> x, A* folded);

namespace detail {

/// What a thread has put together so far.
template <class R, class A, bool = sums_round<R, A>>
struct Folding {
  A value = R::template identity<A>;
  __device__ void add(A x) { value = R()(value, x); }
  __device__ A result() const { return value; }
};
template <class R, class A>
struct Folding<R, A, true> {
  LongSum<A> sum;
  __device__ void add(A x) { sum += x; }
  __device__ A result() const { return sum.value(); }
};

/// folded[part, j] = what a part of the elements of number j along `kept` make together. A block has a j, or
/// if neighbours of the loop are neighbours of the result 32 of them, one for each lane; its warps then share
/// the elements.
template <class R, class A, class Element>
__global__ void __launch_bounds__(block_size, sharing_blocks)
    fold_kernel(Element element, LoopAxes kept, LoopAxes repeated, bool neighbours, std::int64_t part,
                A* folded) {
  __shared__ A of_warp[block_size / 32][32];
  const std::int64_t first = blockIdx.y * part, end = std::min(repeated.size, first + part);
  const unsigned warp = threadIdx.x / 32, warps = blockDim.x / 32, lane = threadIdx.x % 32;
  const std::int64_t j = neighbours ? static_cast<std::int64_t>(blockIdx.x) * 32 + lane : blockIdx.x;
  Folding<R, A> folding;
  if (j < kept.size) {
    const std::int64_t begin = kept.at(j);
    const unsigned step = neighbours ? warps : blockDim.x;
    for (std::int64_t r = first + (neighbours ? warp : threadIdx.x); r < end; r += step) {
      folding.add(element(begin + repeated.at(r)));
    }
  }
  if (neighbours) {
    of_warp[warp][lane] = folding.result();
    __syncthreads();
    if (warp > 0 || j >= kept.size) return;
    A all = of_warp[0][lane];
    for (unsigned w = 1; w < warps; ++w) all = R()(all, of_warp[w][lane]);
    folded[blockIdx.y * kept.size + j] = all;
  } else {
    const A all = block_reduce(folding.result(), R());
    if (threadIdx.x == 0) folded[blockIdx.y * kept.size + j] = all;
  }
}

template <class A>
struct ElementOf {
  const A* data;
  __device__ A operator()(std::int64_t i) const { return data[i]; }
};

template <class R, class A, class Element>
void fold(Element element, const LoopAxes& kept, const LoopAxes& repeated, bool neighbours, A* folded) {
  const std::int64_t wanted = neighbours ? 256 : 8192;  // elements that a block puts together for a result
  const std::int64_t parts = std::clamp<std::int64_t>((repeated.size + wanted - 1) / wanted, 1, 1024);
  const std::int64_t part = (repeated.size + parts - 1) / parts;
  const Scratch<A> of_parts(parts == 1 ? 0 : parts * kept.size);
  const auto blocks = neighbours ? (kept.size + 31) / 32 : kept.size;
  launch(fold_kernel<R, A, Element>, dim3(Grid(blocks).blocks.x, static_cast<unsigned>(parts)), block_size, 0,
         element, kept, repeated, neighbours, part, parts == 1 ? folded : of_parts.data());
  if (parts > 1) fold_columns<R>(Rows<const A>{of_parts.data(), parts, kept.size}, folded);
}

}  // namespace detail

/// folded[j] = what R makes of column j.
template <class R, class A>
void fold_columns(Rows<const A> x, A* folded) {
  LoopAxes columns, rows;
  columns.add(x.cols, 1);
  rows.add(x.rows, x.cols);
  detail::fold<R>(detail::ElementOf<A>{x.data}, columns, rows, x.cols > 1, folded);
}

/// folded[j] = what R makes of element(i) for all elements i of the loop that repeat element j of input k.
template <class R, class A, class Element>
void fold(const Broadcast& loop, int k, Element element, A* folded) {
  LoopAxes kept, repeated;
  std::int64_t stride = 1;
  for (int axis = loop.rank - 1; axis >= 0; --axis) {
    (loop.strides[k][axis] == 0 ? repeated : kept).add(loop.dims[axis], stride);
    stride *= loop.dims[axis];
  }
  detail::fold<R>(element, kept, repeated, loop.moves(k), folded);
}

}  // namespace cria::cuda
