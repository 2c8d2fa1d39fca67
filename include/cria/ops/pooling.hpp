#pragma once
/// Pooling of images [n, channels, height, width].

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "cria/backend/cpu/pooling.hpp"
#include "cria/core/check.hpp"
#include "cria/core/convolution.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/windows.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/pooling.cuh"
#endif

namespace cria {

/// Numbers of pixels, {height, width} or one for both.
struct Pool2dOptions {
  Size2d stride = 0;  // 0: the size of a window
  Size2d padding = 0;
};

namespace detail {

/// Images [n, c, h, w] as [n * c, h * w].
template <class T>
Rows<T> image_rows(T* data, const Shape& x) {
  return {data, x.dim(0) * x.dim(1), x.dim(2) * x.dim(3)};
}

/// The same of their gradient.
template <class T, class B>
Gradient<Rows<T>> image_gradient(const Sink<T, B>& to) {
  const auto all = to.vec();
  return {image_rows(all.data, to.shape()), all.fresh};
}

inline Windows pooling(std::string_view op, const Shape& x, const Size2d& kernel,
                       const Pool2dOptions& options) {
  check::rank(op, {"x", x}, 4);
  if (x.dim(2) == 0 || x.dim(3) == 0) {
    throw ShapeError(std::string(op) + ": x is " + to_string(x) +
                     "; its height and width must be at least 1");
  }
  if (x.product(2, 4) > std::numeric_limits<std::int32_t>::max()) {
    throw ShapeError(std::string(op) + ": x is " + to_string(x) +
                     "; an image must have at most 2147483647 pixels");
  }
  const Size2d stride{options.stride.height == 0 ? kernel.height : options.stride.height,
                      options.stride.width == 0 ? kernel.width : options.stride.width};
  const Windows windows{x.dim(1), {x.dim(2), x.dim(3)}, kernel, stride, options.padding, 1};
  check_fit(op, x, windows);
  check::option(2 * options.padding.height <= kernel.height && 2 * options.padding.width <= kernel.width, op,
                "padding", std::max(options.padding.height, options.padding.width),
                "it must be at most half of a window");
  return windows;
}
inline Shape pooled(const Shape& x, const Windows& windows) {
  return {x.dim(0), x.dim(1), windows.count().height, windows.count().width};
}

}  // namespace detail

/// The greatest of each window: x [n, c, h, w] -> [n, c, (h + 2 padding - kh) / stride + 1, ...]. NaN is
/// greater than all numbers, and the first of equal ones gets the gradient. Throws ShapeError if no window
/// fits, ConfigError for options that are out of range.
template <FloatingPoint T, class B>
Tensor<T, B> max_pool2d(const Tensor<T, B>& x, const Size2d& kernel, const Pool2dOptions& options = {}) {
  using K = kernel_for<ops::MaxPool, B>;
  const Windows windows = detail::pooling("max_pool2d", x.shape(), kernel, options);
  auto y = Tensor<T, B>::empty(detail::pooled(x.shape(), windows));
  auto pixel = Tensor<std::int32_t, B>::empty(y.shape());
  K::forward(detail::image_rows(x.vec().data, x.shape()), windows,
             detail::image_rows(y.mutable_vec().data, y.shape()),
             detail::image_rows(pixel.mutable_vec().data, y.shape()));
  return record("max_pool2d", y, inputs(unread(x)), [=, to = sink(x)](const Tensor<T, B>& dy) {
    K::backward(detail::image_rows(dy.vec().data, dy.shape()),
                detail::image_rows(pixel.vec().data, dy.shape()), windows, detail::image_gradient(to));
  });
}

/// The mean of each window, zeros outside of x included: shapes as those of max_pool2d.
template <FloatingPoint T, class B>
Tensor<T, B> avg_pool2d(const Tensor<T, B>& x, const Size2d& kernel, const Pool2dOptions& options = {}) {
  using K = kernel_for<ops::AveragePool, B>;
  const Windows windows = detail::pooling("avg_pool2d", x.shape(), kernel, options);
  auto y = Tensor<T, B>::empty(detail::pooled(x.shape(), windows));
  K::forward(detail::image_rows(x.vec().data, x.shape()), windows,
             detail::image_rows(y.mutable_vec().data, y.shape()));
  return record("avg_pool2d", y, inputs(unread(x)), [=, to = sink(x)](const Tensor<T, B>& dy) {
    K::backward(detail::image_rows(dy.vec().data, dy.shape()), windows, detail::image_gradient(to));
  });
}

}  // namespace cria
