#pragma once

#include <algorithm>
#include <cmath>

#include "cria/backend/cuda/fold.cuh"
#include "cria/core/operations.hpp"

namespace cria {

namespace cuda {

/// How many packs of a row a lane keeps in registers: 16 elements, or 8 of double.
template <class T>
inline constexpr int packs_of_lane = (sizeof(T) == sizeof(double) ? 8 : 16) / widest<T>;

/// Calls f(column, p) for the packs of a row that a lane has: if Packs is not 0, the row has at most 32 Packs
/// packs, and p counts the lane's, so that f may keep them in registers.
template <int Size, int Packs, class F>
__device__ __forceinline__ void for_each_pack_of_row(std::int64_t cols, F f) {
  const int first = Size * (static_cast<int>(threadIdx.x) % 32);
  if constexpr (Packs > 0) {
#pragma unroll
    for (int p = 0; p < Packs; ++p) {
      const int j = first + p * Size * 32;
      if (j < cols) f(j, p);
    }
  } else {
    for (std::int64_t j = first; j < cols; j += Size * 32) f(j, 0);
  }
}

/// A warp has a row x, or a row that it adds to another one to get x first. It keeps the row in registers, or
/// if it is too long reads it twice, the second time from the cache.
template <int Size, int Packs, class T, class A>
__global__ void __launch_bounds__(block_size, shared_by_blocks<T>)
    rms_norm_kernel(Rows<const T> a, Rows<const T> b, const T* weight, A eps, Rows<T> sum, Rows<T> y,
                    A* inv_rms) {
  const Rows<const T> x = b ? Rows<const T>(sum) : a;
  const std::int64_t i = first_item() / 32;
  if (i >= x.rows) return;
  const T* xi = x.row(i);
  Pack<T, Size> kept[std::max(Packs, 1)];
  LongSum<A> squares;
  for_each_pack_of_row<Size, Packs>(x.cols, [&](std::int64_t j, int p) {
    auto pack = load<Size>(a.row(i) + j);
    if (b) {
      const auto added = load<Size>(b.row(i) + j);
#pragma unroll
      for (int k = 0; k < Size; ++k) pack.at[k] = static_cast<T>(wide(pack.at[k]) + wide(added.at[k]));
      store(sum.row(i) + j, pack);
    }
    A of_pack = 0;
#pragma unroll
    for (int k = 0; k < Size; ++k) of_pack += wide(pack.at[k]) * wide(pack.at[k]);
    squares += of_pack;
    if (Packs > 0) kept[p] = pack;
  });
  const A r = A(1) / std::sqrt(warp_sum(squares.value()) / static_cast<A>(x.cols) + eps);
  if (threadIdx.x % 32 == 0) inv_rms[i] = r;
  for_each_pack_of_row<Size, Packs>(x.cols, [&](std::int64_t j, int p) {
    auto pack = Packs > 0 ? kept[p] : load<Size>(xi + j);
    const auto w = load<Size>(weight + j);
#pragma unroll
    for (int k = 0; k < Size; ++k) pack.at[k] = static_cast<T>(wide(pack.at[k]) * r * wide(w.at[k]));
    store(y.row(i) + j, pack);
  });
}

/// The gradients by rows that a warp keeps in registers, with its share of dweight: a block's warps take
/// turns at rows_of_block rows, and at last add up what they have for dweight. With h = x r: dweight = sum
/// over rows of dy h; dx = r (dy w - h mean(dy w h)).
template <int Size, int Packs, class T, class A>
__global__ void __launch_bounds__(block_size, 2)
    rms_norm_backward_in_registers_kernel(Rows<const T> dy, Rows<const T> x, const T* weight,
                                          const A* inv_rms, Gradient<Rows<T>> dx, A* dweight_of_block,
                                          std::int64_t rows_of_block) {
  A* const of_block = static_cast<A*>(dynamic_shared_memory());  // [cols]
  const unsigned warp = threadIdx.x / 32, warps = blockDim.x / 32;
  Pack<T, Size> w[Packs];
  Pack<A, Size> sums[Packs] = {};
  for_each_pack_of_row<Size, Packs>(x.cols, [&](std::int64_t j, int p) { w[p] = load<Size>(weight + j); });
  const std::int64_t begin = blockIdx.x * rows_of_block, end = std::min(x.rows, begin + rows_of_block);
  for (std::int64_t i = begin + warp; i < end; i += warps) {
    const A r = inv_rms[i];
    Pack<T, Size> d[Packs], xi[Packs];
    A dot = 0;
    for_each_pack_of_row<Size, Packs>(x.cols, [&](std::int64_t j, int p) {
      d[p] = load<Size>(dy.row(i) + j);
      xi[p] = load<Size>(x.row(i) + j);
    });
    for_each_pack_of_row<Size, Packs>(x.cols, [&](std::int64_t, int p) {
#pragma unroll
      for (int k = 0; k < Size; ++k) {
        const A product = wide(d[p].at[k]) * wide(xi[p].at[k]);
        dot += product * wide(w[p].at[k]);
        sums[p].at[k] += product * r;
      }
    });
    if (!dx) continue;
    const A pull = warp_sum(dot) * r * r * r / static_cast<A>(x.cols);
    for_each_pack_of_row<Size, Packs>(x.cols, [&](std::int64_t j, int p) {
      Pack<T, Size> to;
      if (!dx.fresh) to = load<Size>(dx.row(i) + j);
#pragma unroll
      for (int k = 0; k < Size; ++k) {
        const A value = wide(d[p].at[k]) * wide(w[p].at[k]) * r - wide(xi[p].at[k]) * pull;
        to.at[k] = summed(to.at[k], dx.fresh, value);
      }
      store(dx.row(i) + j, to);
    });
  }
  if (!dweight_of_block) return;
  for (unsigned turn = 0; turn < warps; ++turn) {
    if (turn == warp) {
      for_each_pack_of_row<Size, Packs>(x.cols, [&](std::int64_t j, int p) {
        if (turn > 0) {
          const auto before = load<Size>(of_block + j);
#pragma unroll
          for (int k = 0; k < Size; ++k) sums[p].at[k] += before.at[k];
        }
        store(of_block + j, sums[p]);
      });
    }
    __syncthreads();
  }
  for (std::int64_t j = threadIdx.x; j < x.cols; j += blockDim.x) {
    dweight_of_block[blockIdx.x * x.cols + j] = of_block[j];
  }
}

/// The same for longer rows: a block has rows_of_block rows, one after the other, and a thread always the
/// same columns: it sums up their share of dweight in shared memory, sums [cols], without waiting for others.
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
    const std::int64_t rows = rows_of_block(x.rows), blocks = (x.rows + rows - 1) / rows;
    const cuda::Scratch<A> dweight_of_block(dweight ? blocks * x.cols : 0);
    const auto run = [&](auto kernel, std::int64_t threads) {
      cuda::launch(kernel, blocks, static_cast<unsigned>(threads),
                   static_cast<std::size_t>(x.cols) * sizeof(A), dy, x, weight.data, inv_rms.data, dx,
                   dweight ? dweight_of_block.data() : nullptr, rows);
    };
    constexpr int of_lane = cuda::packs_of_lane<T>;
    if (packs && items <= 32 * of_lane) {
      run(cuda::rms_norm_backward_in_registers_kernel<width, of_lane, T, A>, cuda::block_size);
    } else {
      run(packs ? cuda::rms_norm_backward_kernel<width, T, A> : cuda::rms_norm_backward_kernel<1, T, A>,
          std::clamp<std::int64_t>((items + 31) / 32 * 32, 32, cuda::block_size));
    }
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
    constexpr int of_lane = cuda::packs_of_lane<T>;
    const bool kept = packs && a.cols / width <= 32 * of_lane;
    cuda::launch(kept    ? cuda::rms_norm_kernel<width, of_lane, T, A>
                 : packs ? cuda::rms_norm_kernel<width, 0, T, A>
                         : cuda::rms_norm_kernel<1, 0, T, A>,
                 (a.rows + warps - 1) / warps, cuda::block_size, 0, a, b, weight.data, static_cast<A>(eps),
                 sum, y, inv_rms.data);
  }

  /// Enough blocks to fill a device, and few enough that the sums over their rows stay small.
  static std::int64_t rows_of_block(std::int64_t rows) {
    return std::clamp<std::int64_t>(rows / 1024, 16, 64);
  }
};

}  // namespace cria
