#pragma once

#include "cria/backend/cuda/indices.cuh"
#include "cria/backend/cuda/map.cuh"
#include "cria/core/operations.hpp"

namespace cria {

namespace cuda {

/// Zeros for an index that is out of range, about which the host will throw.
template <class T>
__global__ void __launch_bounds__(block_size, sharing_blocks)
    gather_kernel(Planes<const T> x, IndexView index, Planes<T> y) {
  for (std::int64_t item = first_item(); item < y.outer * y.middle * y.inner; item += item_stride()) {
    const std::int64_t i = item % y.inner, j = item / y.inner % y.middle, o = item / (y.inner * y.middle);
    const std::int32_t from = index.at(o, j, i);
    y.data[item] = from >= 0 && from < x.middle ? x.plane(o).row(from)[i] : T();
  }
}

/// sums[o, index[o, j, i], i] += dy[o, j, i]: a thread adds up, in order, what one o and i have.
template <class T>
__global__ void __launch_bounds__(block_size, sharing_blocks)
    gather_backward_kernel(Planes<const T> dy, IndexView index, Planes<acc_t<T>> sums) {
  for (std::int64_t item = first_item(); item < dy.outer * dy.inner; item += item_stride()) {
    const std::int64_t i = item % dy.inner, o = item / dy.inner;
    for (std::int64_t j = 0; j < dy.middle; ++j) {
      const std::int32_t to = index.at(o, j, i);
      if (to >= 0 && to < sums.middle) sums.plane(o).row(to)[i] += wide(dy.plane(o).row(j)[i]);
    }
  }
}

}  // namespace cuda

template <>
struct kernel<ops::Gather, Cuda> {
  template <class T>
  static void forward(Planes<const T> x, const IndexView& index, Planes<T> y) {
    cuda::check_indices(cuda::IndexError::gather_index, index.all, x.middle, index.op);
    cuda::launch(cuda::gather_kernel<T>, cuda::grid_for(y.outer * y.middle * y.inner), cuda::block_size, 0, x,
                 index, y);
  }

  template <class T>
  static void backward(Planes<const T> dy, const IndexView& index, Gradient<Planes<T>> dx) {
    using A = acc_t<T>;
    if (!dx) return;
    const std::int64_t size = dx.outer * dx.middle * dx.inner;
    const cuda::Scratch<A> sums(size);
    Cuda::fill_zero(sums.data(), static_cast<std::size_t>(size) * sizeof(A));
    cuda::launch(cuda::gather_backward_kernel<T>, cuda::grid_for(dy.outer * dy.inner), cuda::block_size, 0,
                 dy, index, Planes<A>{sums.data(), dx.outer, dx.middle, dx.inner});
    cuda::map_add(Gradient<Vec<T>>{{dx.data, size}, dx.fresh}, cuda::Convert<A>(), Vec<const A>(sums.vec()));
  }
};

}  // namespace cria
