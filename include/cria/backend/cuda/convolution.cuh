#pragma once
/// CUDA kernel of convolutions: the windows of one image at a time become a matrix, which is multiplied.

#include <cstdint>

#include "cria/backend/cuda/blas.hpp"
#include "cria/backend/cuda/map.cuh"
#include "cria/core/convolution.hpp"
#include "cria/core/operations.hpp"

namespace cria {

namespace cuda {

/// columns [depth, positions]: the windows of an image.
template <class T>
__global__ void __launch_bounds__(block_size, sharing_blocks)
    unfold_kernel(Windows windows, const T* image, T* columns) {
  const Size2d count = windows.count();
  const std::int64_t positions = count.height * count.width;
  for (std::int64_t item = first_item(); item < windows.depth() * positions; item += item_stride()) {
    const std::int64_t row = item / positions, position = item % positions;
    const std::int64_t kx = row % windows.kernel.width,
                       ky = row / windows.kernel.width % windows.kernel.height;
    const std::int64_t channel = row / (windows.kernel.width * windows.kernel.height);
    const std::int64_t y = position / count.width * windows.stride.height + ky * windows.dilation.height -
                           windows.padding.height;
    const std::int64_t x =
        position % count.width * windows.stride.width + kx * windows.dilation.width - windows.padding.width;
    const bool inside = y >= 0 && y < windows.image.height && x >= 0 && x < windows.image.width;
    columns[item] = inside ? image[(channel * windows.image.height + y) * windows.image.width + x] : T();
  }
}

/// A pixel's gradient is the sum of those it has in all windows that it is in, always in the same order.
template <class T>
__global__ void __launch_bounds__(block_size, sharing_blocks)
    fold_windows_kernel(Windows windows, const acc_t<T>* columns, bool fresh, T* image) {
  using A = acc_t<T>;
  const Size2d count = windows.count();
  const std::int64_t positions = count.height * count.width, width = windows.image.width;
  const std::int64_t pixels = windows.image.height * width;
  for (std::int64_t item = first_item(); item < windows.channels * pixels; item += item_stride()) {
    const std::int64_t channel = item / pixels, line = item % pixels / width, column = item % width;
    A sum = 0;
    for (std::int64_t ky = 0; ky < windows.kernel.height; ++ky) {
      const std::int64_t top = line + windows.padding.height - ky * windows.dilation.height;
      if (top < 0 || top % windows.stride.height != 0 || top / windows.stride.height >= count.height)
        continue;
      for (std::int64_t kx = 0; kx < windows.kernel.width; ++kx) {
        const std::int64_t left = column + windows.padding.width - kx * windows.dilation.width;
        if (left < 0 || left % windows.stride.width != 0 || left / windows.stride.width >= count.width)
          continue;
        const std::int64_t row = (channel * windows.kernel.height + ky) * windows.kernel.width + kx;
        sum += columns[row * positions + top / windows.stride.height * count.width +
                       left / windows.stride.width];
      }
    }
    image[item] = summed(image[item], fresh, sum);
  }
}

/// The rows of a matrix that belong to one of several groups.
template <class T>
Rows<T> rows_of_group(Rows<T> x, std::int64_t group, std::int64_t groups) {
  return x.slice(x.rows / groups * group, x.rows / groups);
}

}  // namespace cuda

template <>
struct kernel<ops::Convolution, Cuda> {
  template <class T>
  static void forward(Planes<const T> x, Rows<const T> weight, const Windows& windows, std::int64_t groups,
                      Planes<T> y) {
    const cuda::Scratch<T> memory(windows.depth() * windows.positions());
    const Rows<T> columns{memory.data(), windows.depth(), windows.positions()};
    for (std::int64_t n = 0; n < x.outer; ++n) {
      unfold(windows, x.plane(n), columns);
      for (std::int64_t g = 0; g < groups; ++g) {
        cuda::gemm(plain(cuda::rows_of_group(weight, g, groups)),
                   plain(Rows<const T>(cuda::rows_of_group(columns, g, groups))), false,
                   cuda::rows_of_group(y.plane(n), g, groups));
      }
    }
  }

  template <class T, class A>
  static void backward(Planes<const T> dy, Planes<const T> x, Rows<const T> weight, const Windows& windows,
                       std::int64_t groups, Gradient<Planes<T>> dx, Gradient<Rows<A>> dweight) {
    const std::int64_t size = windows.depth() * windows.positions();
    const cuda::Scratch<T> memory(dweight ? size : 0);
    const cuda::Scratch<A> wide_memory(dx ? size : 0);
    const Rows<T> columns{memory.data(), windows.depth(), windows.positions()};
    const Rows<A> d_columns{wide_memory.data(), windows.depth(), windows.positions()};
    if (dweight && dweight.fresh) {
      Cuda::fill_zero(dweight.data, static_cast<std::size_t>(dweight.rows * dweight.cols) * sizeof(A));
    }
    for (std::int64_t n = 0; n < dy.outer; ++n) {
      if (dweight) unfold(windows, x.plane(n), columns);
      for (std::int64_t g = 0; g < groups; ++g) {
        const auto d = plain(cuda::rows_of_group(dy.plane(n), g, groups));
        if (dx) {
          cuda::gemm(transposed(cuda::rows_of_group(weight, g, groups)), d, false,
                     cuda::rows_of_group(d_columns, g, groups));
        }
        if (dweight) {
          cuda::gemm(d, transposed(Rows<const T>(cuda::rows_of_group(columns, g, groups))), true,
                     cuda::rows_of_group(Rows<A>(dweight), g, groups));
        }
      }
      if (dx) {
        cuda::launch(cuda::fold_windows_kernel<T>, cuda::grid_for(dx.middle * dx.inner), cuda::block_size, 0,
                     windows, d_columns.data, dx.fresh, dx.plane(n).data);
      }
    }
  }

 private:
  template <class T>
  static void unfold(const Windows& windows, Rows<const T> image, Rows<T> columns) {
    cuda::launch(cuda::unfold_kernel<T>, cuda::grid_for(columns.rows * columns.cols), cuda::block_size, 0,
                 windows, image.data, columns.data);
  }
};

}  // namespace cria
