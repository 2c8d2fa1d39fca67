#pragma once

#include <algorithm>
#include <cmath>

#include "cria/backend/cuda/fold.cuh"
#include "cria/core/operations.hpp"

namespace cria {

namespace cuda {

/// A warp has a row x, or a row that it adds to another one to get x first, and which it reads twice; the
/// second time from the cache.
template <int Size, class T, class A>
__global__ void __launch_bounds__(block_size, shared_by_blocks<T>)
    rms_norm_kernel(Rows<const T> a, Rows<const T> b, const T* weight, A eps, Rows<T> sum, Rows<T> y,
                    A* inv_rms) {
  const Rows<const T> x = b ? Rows<const T>(sum) : a;
  const std::int64_t i = first_item() / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (i >= x.rows) return;
  const T* xi = x.row(i);
  LongSum<A> squares;
  for (std::int64_t j = Size * lane; j < x.cols; j += Size * 32) {
    auto pack = load<Size>(a.row(i) + j);
    if (b) {
      const auto added = load<Size>(b.row(i) + j);
#pragma unroll
      for (int k = 0; k < Size; ++k) pack.at[k] = static_cast<T>(wide(pack.at[k]) + wide(added.at[k]));
      store(sum.row(i) + j, pack);
    }
#pragma unroll
    for (int k = 0; k < Size; ++k) squares += wide(pack.at[k]) * wide(pack.at[k]);
  }
  const A r = A(1) / std::sqrt(warp_sum(squares.value()) / static_cast<A>(x.cols) + eps);
  if (lane == 0) inv_rms[i] = r;
  for (std::int64_t j = Size * lane; j < x.cols; j += Size * 32) {
    auto pack = load<Size>(xi + j);
    const auto w = load<Size>(weight + j);
#pragma unroll
    for (int k = 0; k < Size; ++k) pack.at[k] = static_cast<T>(wide(pack.at[k]) * r * wide(w.at[k]));
    store(y.row(i) + j, pack);
  }
}

/// A block has rows_of_block rows, one after the other, and a thread always the same columns: it sums up
/// their share of dweight in shared memory, sums [cols], without waiting for others. With h = x r: dweight =
/// sum over rows of dy h; dx = r (dy w - h mean(dy w h)).
template <int Size, class T, class A>
__global__ void __launch_bounds__(block_size, shared_by_blocks<T>)
    rms_norm_backward_kernel(Rows<const T> dy, Rows<const T> x, const T* weight, const A* inv_rms,
                             Gradient<Rows<T>> dx, A* dweight_of_block, std::int64_t rows_of_block) {
  A* const sums = static_cast<A*>(dynamic_shared_memory());
  const std::int64_t cols = x.cols, first = Size * static_cast<std::int64_t>(threadIdx.x);
  const std::int64_t step = Size * static_cast<std::int64_t>(blockDim.x);
  for (std::int64_t j = first; j < cols; j += step) store(sums + j, Pack<A, Size>{});
  const std::int64_t begin = blockIdx.x * rows_of_block, end = std::min(x.rows, begin + rows_of_block);
  for (std::int64_t i = begin; i < end; ++i) {
    const A r = inv_rms[i];
    A dot = 0;
    for (std::int64_t j = first; j < cols; j += step) {
      const auto d = load<Size>(dy.row(i) + j), xi = load<Size>(x.row(i) + j), w = load<Size>(weight + j);
      auto sum = load<Size>(sums + j);
#pragma unroll
      for (int k = 0; k < Size; ++k) {
        const A product = wide(d.at[k]) * wide(xi.at[k]);
        dot += product * wide(w.at[k]);
        sum.at[k] += product * r;
      }
      store(sums + j, sum);
    }
    if (!dx) continue;
    const A pull = block_sum(dot) * r * r * r / static_cast<A>(cols);
    for (std::int64_t j = first; j < cols; j += step) {
      const auto d = load<Size>(dy.row(i) + j), xi = load<Size>(x.row(i) + j), w = load<Size>(weight + j);
      Pack<T, Size> to;
      if (!dx.fresh) to = load<Size>(dx.row(i) + j);
#pragma unroll
      for (int k = 0; k < Size; ++k) {
        const A value = wide(d.at[k]) * wide(w.at[k]) * r - wide(xi.at[k]) * pull;
        to.at[k] = summed(to.at[k], dx.fresh, value);
      }
      store(dx.row(i) + j, to);
    }
  }
  if (!dweight_of_block) return;
  for (std::int64_t j = first; j < cols; j += step) {
    store(dweight_of_block + blockIdx.x * cols + j, load<Size>(sums + j));
  }
}

}  // namespace cuda

template <>
struct kernel<ops::RmsNorm, Cuda> {
  template <class T, class A>
  static void forward(Rows<const T> x, Vec<const T> weight, float eps, Rows<T> y, Vec<A> inv_rms) {
    normalize(x, Rows<const T>{}, weight, eps, Rows<T>{}, y, inv_rms);
  }

  template <class T, class A>
  static void forward_of_sum(Rows<const T> a, Rows<const T> b, Vec<const T> weight, float eps, Rows<T> x,
                             Rows<T> y, Vec<A> inv_rms) {
    normalize(a, b, weight, eps, x, y, inv_rms);
  }

  template <class T, class A>
  static void backward(Rows<const T> dy, Rows<const T> x, Vec<const T> weight, Vec<const A> inv_rms,
                       Gradient<Rows<T>> dx, Gradient<Vec<A>> dweight) {
    if (!dx && !dweight) return;
    constexpr int width = cuda::widest<T>;
    const bool packs = x.cols % width == 0 && cuda::packs_fit<width>(dy.data, x.data, weight.data, dx.data);
    const std::int64_t items = packs ? x.cols / width : x.cols;
    const auto threads =
        static_cast<unsigned>(std::clamp<std::int64_t>((items + 31) / 32 * 32, 32, cuda::block_size));
    const std::int64_t blocks = (x.rows + rows_of_block - 1) / rows_of_block;
    const cuda::Scratch<A> dweight_of_block(dweight ? blocks * x.cols : 0);
    cuda::launch(
        packs ? cuda::rms_norm_backward_kernel<width, T, A> : cuda::rms_norm_backward_kernel<1, T, A>, blocks,
        threads, static_cast<std::size_t>(x.cols) * sizeof(A), dy, x, weight.data, inv_rms.data, dx,
        dweight ? dweight_of_block.data() : nullptr, rows_of_block);
    if (dweight) {
      const cuda::Scratch<A> sums(x.cols);
      cuda::fold_columns<ops::Total>(Rows<const A>{dweight_of_block.data(), blocks, x.cols}, sums.data());
      cuda::map_add(dweight, cuda::Convert<A>(), Vec<const A>(sums.vec()));
    }
  }

 private:
  /// y = the norm of a, or of sum = a + b if b is not empty.
  template <class T, class A>
  static void normalize(Rows<const T> a, Rows<const T> b, Vec<const T> weight, float eps, Rows<T> sum,
                        Rows<T> y, Vec<A> inv_rms) {
    constexpr int width = cuda::widest<T>, warps = cuda::block_size / 32;
    const bool packs =
        a.cols % width == 0 && cuda::packs_fit<width>(a.data, b.data, weight.data, sum.data, y.data);
    cuda::launch(packs ? cuda::rms_norm_kernel<width, T, A> : cuda::rms_norm_kernel<1, T, A>,
                 (a.rows + warps - 1) / warps, cuda::block_size, 0, a, b, weight.data, static_cast<A>(eps),
                 sum, y, inv_rms.data);
  }

  /// Enough blocks to fill a device, and few enough that the sums over their rows stay small.
  static constexpr std::int64_t rows_of_block = 16;
};

}  // namespace cria
