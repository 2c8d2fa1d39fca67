#pragma once
/// CUDA kernels of pooling.

#include <algorithm>
#include <cstdint>

#include "cria/backend/cuda/fold.cuh"
#include "cria/backend/cuda/map.cuh"
#include "cria/core/convolution.hpp"
#include "cria/core/operations.hpp"

namespace cria {

namespace cuda {

/// Of windows along a dimension those that have a pixel, [first, end).
struct WindowsOfPixel {
  std::int64_t first, end;
  __device__ WindowsOfPixel(std::int64_t pixel, std::int64_t kernel, std::int64_t stride,
                            std::int64_t padding, std::int64_t count)
      : first(pixel + padding < kernel ? 0 : (pixel + padding - kernel) / stride + 1),
        end(std::min((pixel + padding) / stride + 1, count)) {}
};

/// The pixels of a window along a dimension, [first, end).
struct PixelsOfWindow {
  std::int64_t first, end;
  __device__ PixelsOfWindow(std::int64_t window, std::int64_t kernel, std::int64_t stride,
                            std::int64_t padding, std::int64_t size)
      : first(std::max<std::int64_t>(window * stride - padding, 0)),
        end(std::min(window * stride - padding + kernel, size)) {}
};

/// A thread has a window: its greatest element, or its mean where `pixel` is empty.
template <class T>
__global__ void __launch_bounds__(block_size, sharing_blocks)
    pool_kernel(Windows windows, Rows<const T> x, Rows<T> y, Rows<std::int32_t> pixel) {
  using A = acc_t<T>;
  const Size2d count = windows.count();
  const std::int64_t width = windows.image.width;
  for (std::int64_t item = first_item(); item < y.rows * y.cols; item += item_stride()) {
    const std::int64_t position = item % y.cols;
    const T* image = x.row(item / y.cols);
    const PixelsOfWindow rows(position / count.width, windows.kernel.height, windows.stride.height,
                              windows.padding.height, windows.image.height);
    const PixelsOfWindow columns(position % count.width, windows.kernel.width, windows.stride.width,
                                 windows.padding.width, width);
    if (pixel) {
      std::int64_t greatest = rows.first * width + columns.first;
      A most = wide(image[greatest]);
      for (std::int64_t row = rows.first; row < rows.end; ++row) {
        for (std::int64_t at = row * width + columns.first; at < row * width + columns.end; ++at) {
          const A value = wide(image[at]);
          if (!(value > most) && value == value) continue;
          most = value;
          greatest = at;
        }
      }
      y.data[item] = image[greatest];
      pixel.data[item] = static_cast<std::int32_t>(greatest);
    } else {
      LongSum<A> sum;
      for (std::int64_t row = rows.first; row < rows.end; ++row) {
        for (std::int64_t at = row * width + columns.first; at < row * width + columns.end; ++at) {
          sum += wide(image[at]);
        }
      }
      y.data[item] =
          static_cast<T>(sum.value() / static_cast<A>(windows.kernel.height * windows.kernel.width));
    }
  }
}

/// A thread has a pixel: the sum of the gradients of those of its windows that it is the greatest element of,
/// or of all where `pixel` is empty.
template <class T>
__global__ void __launch_bounds__(block_size, sharing_blocks)
    pool_backward_kernel(Windows windows, Rows<const T> dy, Rows<const std::int32_t> pixel,
                         Gradient<Rows<T>> dx) {
  using A = acc_t<T>;
  const Size2d count = windows.count();
  const A share = pixel ? A(1) : A(1) / static_cast<A>(windows.kernel.height * windows.kernel.width);
  for (std::int64_t item = first_item(); item < dx.rows * dx.cols; item += item_stride()) {
    const std::int64_t image = item / dx.cols, at = item % dx.cols;
    const WindowsOfPixel lines(at / windows.image.width, windows.kernel.height, windows.stride.height,
                               windows.padding.height, count.height);
    const WindowsOfPixel columns(at % windows.image.width, windows.kernel.width, windows.stride.width,
                                 windows.padding.width, count.width);
    A sum = 0;
    for (std::int64_t line = lines.first; line < lines.end; ++line) {
      for (std::int64_t column = columns.first; column < columns.end; ++column) {
        const std::int64_t window = line * count.width + column;
        if (!pixel || pixel.row(image)[window] == at) sum += wide(dy.row(image)[window]);
      }
    }
    dx.data[item] = summed(dx.data[item], dx.fresh, share * sum);
  }
}

}  // namespace cuda

template <>
struct kernel<ops::MaxPool, Cuda> {
  template <class T>
  static void forward(Rows<const T> x, const Windows& windows, Rows<T> y, Rows<std::int32_t> pixel) {
    cuda::launch(cuda::pool_kernel<T>, cuda::grid_for(y.rows * y.cols), cuda::block_size, 0, windows, x, y,
                 pixel);
  }
  template <class T>
  static void backward(Rows<const T> dy, Rows<const std::int32_t> pixel, const Windows& windows,
                       Gradient<Rows<T>> dx) {
    cuda::launch(cuda::pool_backward_kernel<T>, cuda::grid_for(dx.rows * dx.cols), cuda::block_size, 0,
                 windows, dy, pixel, dx);
  }
};

template <>
struct kernel<ops::AveragePool, Cuda> {
  template <class T>
  static void forward(Rows<const T> x, const Windows& windows, Rows<T> y) {
    kernel<ops::MaxPool, Cuda>::forward(x, windows, y, {});
  }
  template <class T>
  static void backward(Rows<const T> dy, const Windows& windows, Gradient<Rows<T>> dx) {
    kernel<ops::MaxPool, Cuda>::backward(dy, {}, windows, dx);
  }
};

}  // namespace cria
