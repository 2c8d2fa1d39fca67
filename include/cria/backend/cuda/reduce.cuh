#pragma once

#include "cria/backend/cuda/sum.cuh"
#include "cria/core/operations.hpp"

namespace cria {

namespace cuda {

/// dx[o, m, i] = dy[o, i], or += that.
template <class T, class D>
__global__ void __launch_bounds__(block_size) spread_kernel(const D* dy, Gradient<Planes<T>> dx) {
  const std::int64_t size = dx.outer * dx.middle * dx.inner;
  for (std::int64_t i = first_item(); i < size; i += item_stride()) {
    const acc_t<T> d = wide(dy[i / (dx.middle * dx.inner) * dx.inner + i % dx.inner]);
    dx.data[i] = summed(dx.data[i], dx.fresh, d);
  }
}

}  // namespace cuda

template <>
struct kernel<ops::Sum, Cuda> {
  template <class T, class A>
  static void forward(Planes<const T> x, Vec<A> y) {
    cuda::sum_middle(x, Gradient<Vec<A>>{y, true});
  }

  template <class T, class D>
  static void backward(Vec<const D> dy, Gradient<Planes<T>> dx) {
    if (!dx) return;
    cuda::launch(cuda::spread_kernel<T, D>, cuda::grid_for(dx.outer * dx.middle * dx.inner), cuda::block_size,
                 0, dy.data, dx);
  }
};

}  // namespace cria
