#pragma once
/// CUDA kernels of the operations in which elements along a dimension have an order.

#include "cria/backend/cuda/block_reduce.cuh"
#include "cria/backend/cuda/cuda.hpp"
#include "cria/backend/cuda/launch.hpp"
#include "cria/backend/cuda/pack.cuh"
#include "cria/core/operations.hpp"
#include "cria/core/order.hpp"

namespace cria {

namespace cuda {

/// A thread sums up what one outer and one inner index have, from the end if it goes backward.
template <class T>
__global__ void __launch_bounds__(block_size)
    cumulative_total_kernel(Planes<const T> x, Gradient<Planes<T>> y, bool is_backward) {
  for (std::int64_t item = first_item(); item < x.outer * x.inner; item += item_stride()) {
    const std::int64_t o = item / x.inner, i = item % x.inner;
    LongSum<acc_t<T>> sum;
    for (std::int64_t step = 0; step < x.middle; ++step) {
      const std::int64_t at = (o * x.middle + (is_backward ? x.middle - 1 - step : step)) * x.inner + i;
      sum += wide(x.data[at]);
      y.data[at] = summed(y.data[at], y.fresh, sum.value());
    }
  }
}

/// order[row, place] = the element that has this place. A thread counts those that come before an element.
template <class T>
__global__ void __launch_bounds__(block_size)
    order_kernel(Rows<const T> x, bool descending, Rows<std::int32_t> order) {
  for (std::int64_t item = first_item(); item < x.rows * x.cols; item += item_stride()) {
    const std::int64_t row = item / x.cols, at = item % x.cols;
    const T own = x.data[item];
    std::int64_t place = 0;
    for (std::int64_t other = 0; other < x.cols; ++other) {
      place += comes_before(x.row(row)[other], other, own, at, descending) ? 1 : 0;
    }
    if (place < order.cols) order.row(row)[place] = static_cast<std::int32_t>(at);
  }
}

}  // namespace cuda

template <>
struct kernel<ops::CumulativeTotal, Cuda> {
  template <class T>
  static void forward(Planes<const T> x, Planes<T> y) {
    run(x, Gradient<Planes<T>>{y, true}, false);
  }
  template <class T>
  static void backward(Planes<const T> dy, Gradient<Planes<T>> dx) {
    if (dx) run(dy, dx, true);
  }

 private:
  template <class T>
  static void run(Planes<const T> x, Gradient<Planes<T>> y, bool is_backward) {
    cuda::launch(cuda::cumulative_total_kernel<T>, cuda::grid_for(x.outer * x.inner), cuda::block_size, 0, x,
                 y, is_backward);
  }
};

template <>
struct kernel<ops::Order, Cuda> {
  template <class T>
  static void forward(Rows<const T> x, bool descending, Rows<std::int32_t> order) {
    cuda::launch(cuda::order_kernel<T>, cuda::grid_for(x.rows * x.cols), cuda::block_size, 0, x, descending,
                 order);
  }
};

}  // namespace cria
