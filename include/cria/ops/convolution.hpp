#pragma once
/// Convolutions and enlarging of images [n, channels, height, width], and their windows as columns.

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cria/backend/cpu/convolution.hpp"
#include "cria/core/autograd.hpp"
#include "cria/core/check.hpp"
#include "cria/core/convolution.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/accumulate.hpp"
#include "cria/ops/cast.hpp"
#include "cria/ops/elementwise.hpp"
#include "cria/ops/expand.hpp"
#include "cria/ops/rearrange.hpp"
#include "cria/ops/reduce.hpp"
#include "cria/ops/reshape.hpp"
#include "cria/ops/windows.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/convolution.cuh"
#endif

namespace cria {

/// Numbers of pixels, {height, width} or one for both.
struct Conv2dOptions {
  Size2d stride = 1;
  Size2d padding = 0;  // zeros around the image
  Size2d dilation = 1;
  std::int64_t groups = 1;
};
struct Conv1dOptions {
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  std::int64_t dilation = 1;
  std::int64_t groups = 1;
};
struct ConvTranspose2dOptions {
  Size2d stride = 1;
  Size2d padding = 0;
  Size2d output_padding = 0;  // rows and columns that are added at the end
  Size2d dilation = 1;
  std::int64_t groups = 1;
};
struct UnfoldOptions {
  Size2d stride = 1;
  Size2d padding = 0;
  Size2d dilation = 1;
};

namespace detail {

/// x as [n, c, h * w].
template <class T>
Planes<T> image_planes(T* data, const Shape& x) {
  return {data, x.dim(0), x.dim(1), x.dim(2) * x.dim(3)};
}
template <class T>
Rows<T> kernel_rows(T* data, const Shape& weight) {
  return {data, weight.dim(0), weight.product(1, 4)};
}

/// Throws ShapeError unless weight [o, c / groups, kh, kw] fits images of `channels` channels.
inline void check_kernel(std::string_view op, const Shape& x, const Shape& weight, std::int64_t channels,
                         std::int64_t groups) {
  check::option(groups >= 1, op, "groups", groups, "it must be at least 1");
  if (channels % groups == 0 && weight.dim(0) % groups == 0 && weight.dim(1) * groups == channels) return;
  throw ShapeError(
      std::string(op) + ": x is " + to_string(x) + " and weight is " + to_string(weight) + " in " +
      std::to_string(groups) + (groups == 1 ? " group" : " groups") +
      "; groups must divide the channels of both sides, and weight.dim(1) must be those of a group");
}

/// A product plus bias for each channel, [n, channels, ...].
template <FloatingPoint T, class B>
Tensor<T, B> add_bias(std::string_view op, const Tensor<T, B>& product, const Tensor<T, B>& bias) {
  check::rank(op, {"bias", bias.shape()}, 1);
  check::equal_dims(op, {"the result", product.shape()}, 1, {"bias", bias.shape()}, 0);
  auto y = product.detach();  // nobody else has the product, so the sum takes its memory
  map_in_place(ops::Add{}, y,
               share_values(bias, y.rank() == 3 ? Shape{bias.size(), 1} : Shape{bias.size(), 1, 1}));
  return record("bias", y, inputs(unread(product), unread(bias)),
                [op, d_product = sink(product), d_bias = sink(bias)](const Tensor<T, B>& dy) {
                  add_bias_gradient(op, d_bias, dy, Axes::all_but(1, dy.rank()));
                  accumulate(d_product, dy);
                });
}

}  // namespace detail

/// y[n, o, i, j] = sum over c, u, v of weight[o, c, u, v] x[n, c, i stride + u dilation - padding, j ...], 0
/// being outside of x; each group of output channels sees its group of input channels. x [n, c, h, w], weight
/// [o, c / groups, kh, kw] -> [n, o, (h + 2 padding - dilation (kh - 1) - 1) / stride + 1, ...]. Throws
/// ShapeError if they do not fit, ConfigError for options that are out of range.
template <FloatingPoint T, class B>
Tensor<T, B> conv2d(const Tensor<T, B>& x, const std::type_identity_t<Tensor<T, B>>& weight,
                    const Conv2dOptions& options = {}) {
  using K = kernel_for<ops::Convolution, B>;
  check::rank("conv2d", {"x", x.shape()}, 4);
  check::rank("conv2d", {"weight", weight.shape()}, 4);
  detail::check_kernel("conv2d", x.shape(), weight.shape(), x.dim(1), options.groups);
  const Windows windows{x.dim(1),       {x.dim(2), x.dim(3)}, {weight.dim(2), weight.dim(3)},
                        options.stride, options.padding,      options.dilation};
  detail::check_fit("conv2d", x.shape(), windows);
  const Size2d size = windows.count();
  auto y = Tensor<T, B>::empty({x.dim(0), weight.dim(0), size.height, size.width});
  const std::int64_t groups = options.groups;
  K::forward(detail::image_planes(x.vec().data, x.shape()),
             detail::kernel_rows(weight.vec().data, weight.shape()), windows, groups,
             detail::image_planes(y.mutable_vec().data, y.shape()));
  return record("conv2d", y, inputs(x, weight), [=](const Tensor<T, B>& dy) {
    with_wide_sink<acc_t<T>>(sink(weight), [&](const auto& to_weight) {
      const auto dx = sink(x).vec();
      const auto dweight = to_weight.vec();
      K::backward(detail::image_planes(dy.vec().data, dy.shape()),
                  detail::image_planes(x.vec().data, x.shape()),
                  detail::kernel_rows(weight.vec().data, weight.shape()), windows, groups,
                  Gradient<Planes<T>>{detail::image_planes(dx.data, x.shape()), dx.fresh},
                  Gradient<Rows<acc_t<T>>>{detail::kernel_rows(dweight.data, weight.shape()), dweight.fresh});
    });
  });
}
/// The same plus bias [o].
template <FloatingPoint T, class B>
Tensor<T, B> conv2d(const Tensor<T, B>& x, const std::type_identity_t<Tensor<T, B>>& weight,
                    const std::type_identity_t<Tensor<T, B>>& bias, const Conv2dOptions& options = {}) {
  return detail::add_bias("conv2d", conv2d(x, weight, options), bias);
}

/// conv2d of signals: x [n, c, length], weight [o, c / groups, k] -> [n, o, (length + 2 padding - dilation (k
/// - 1) - 1) / stride + 1].
template <FloatingPoint T, class B>
Tensor<T, B> conv1d(const Tensor<T, B>& x, const std::type_identity_t<Tensor<T, B>>& weight,
                    const Conv1dOptions& options = {}) {
  check::rank("conv1d", {"x", x.shape()}, 3);
  check::rank("conv1d", {"weight", weight.shape()}, 3);
  detail::check_kernel("conv1d", x.shape(), weight.shape(), x.dim(1), options.groups);
  detail::check_fit("conv1d", x.shape(),
                    {x.dim(1),
                     {1, x.dim(2)},
                     {1, weight.dim(2)},
                     {1, options.stride},
                     {0, options.padding},
                     {1, options.dilation}});
  return squeeze(conv2d(unsqueeze(x, 2), unsqueeze(weight, 2),
                        {.stride = {1, options.stride},
                         .padding = {0, options.padding},
                         .dilation = {1, options.dilation},
                         .groups = options.groups}),
                 2);
}
template <FloatingPoint T, class B>
Tensor<T, B> conv1d(const Tensor<T, B>& x, const std::type_identity_t<Tensor<T, B>>& weight,
                    const std::type_identity_t<Tensor<T, B>>& bias, const Conv1dOptions& options = {}) {
  return detail::add_bias("conv1d", conv1d(x, weight, options), bias);
}

/// The transposed convolution, which conv2d of the same options is the gradient of: x [n, c, h, w], weight
/// [c, o / groups, kh, kw] -> [n, o, (h - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1,
/// ...]. Throws ShapeError if they do not fit, ConfigError for options that are out of range. Zeiler et al.
/// 2010.
template <FloatingPoint T, class B>
Tensor<T, B> conv_transpose2d(const Tensor<T, B>& x, const std::type_identity_t<Tensor<T, B>>& weight,
                              const ConvTranspose2dOptions& options = {}) {
  using K = kernel_for<ops::Convolution, B>;
  using A = acc_t<T>;
  const char* const op = "conv_transpose2d";
  check::rank(op, {"x", x.shape()}, 4);
  check::rank(op, {"weight", weight.shape()}, 4);
  check::equal_dims(op, {"x", x.shape()}, 1, {"weight", weight.shape()}, 0);
  const std::int64_t groups = options.groups, channels = weight.dim(1) * groups;
  detail::check_kernel(op, x.shape(), weight.shape(), channels, groups);
  detail::check_sizes(
      op, {channels, 1, {weight.dim(2), weight.dim(3)}, options.stride, options.padding, options.dilation});
  const auto size = [](std::int64_t image, std::int64_t kernel, std::int64_t stride, std::int64_t padding,
                       std::int64_t dilation, std::int64_t more) {
    return (image - 1) * stride - 2 * padding + dilation * (kernel - 1) + more + 1;
  };
  const Size2d kernel{weight.dim(2), weight.dim(3)};
  const Size2d image{size(x.dim(2), kernel.height, options.stride.height, options.padding.height,
                          options.dilation.height, options.output_padding.height),
                     size(x.dim(3), kernel.width, options.stride.width, options.padding.width,
                          options.dilation.width, options.output_padding.width)};
  const Windows windows{channels, image, kernel, options.stride, options.padding, options.dilation};
  if (image.height < 1 || image.width < 1) {
    throw ShapeError("conv_transpose2d: x is " + to_string(x.shape()) + " and weight is " +
                     to_string(weight.shape()) + "; without its padding the result would be " +
                     std::to_string(image.height) + " by " + std::to_string(image.width) +
                     ", and must be at least 1 by 1");
  }
  if (windows.count().height != x.dim(2) || windows.count().width != x.dim(3)) {
    throw ConfigError("conv_transpose2d: output_padding is " + std::to_string(options.output_padding.height) +
                      " by " + std::to_string(options.output_padding.width) +
                      "; it must be 0 or more and less than the stride");
  }
  auto y = Tensor<T, B>::empty({x.dim(0), channels, image.height, image.width});
  K::backward(detail::image_planes(x.vec().data, x.shape()), Planes<const T>{},
              detail::kernel_rows(weight.vec().data, weight.shape()), windows, groups,
              Gradient<Planes<T>>{detail::image_planes(y.mutable_vec().data, y.shape()), true},
              Gradient<Rows<A>>{});
  return record(op, y, inputs(x, weight), [=](const Tensor<T, B>& dy) {
    if (const auto dx = sink(x)) {
      auto back = Tensor<T, B>::empty(x.shape());
      K::forward(detail::image_planes(dy.vec().data, dy.shape()),
                 detail::kernel_rows(weight.vec().data, weight.shape()), windows, groups,
                 detail::image_planes(back.mutable_vec().data, x.shape()));
      accumulate(dx, back);
    }
    with_wide_sink<A>(sink(weight), [&](const auto& to_weight) {
      const auto dweight = to_weight.vec();
      K::backward(detail::image_planes(x.vec().data, x.shape()),
                  detail::image_planes(dy.vec().data, dy.shape()), Rows<const T>{}, windows, groups,
                  Gradient<Planes<T>>{},
                  Gradient<Rows<A>>{detail::kernel_rows(dweight.data, weight.shape()), dweight.fresh});
    });
  });
}
template <FloatingPoint T, class B>
Tensor<T, B> conv_transpose2d(const Tensor<T, B>& x, const std::type_identity_t<Tensor<T, B>>& weight,
                              const std::type_identity_t<Tensor<T, B>>& bias,
                              const ConvTranspose2dOptions& options = {}) {
  return detail::add_bias("conv_transpose2d", conv_transpose2d(x, weight, options), bias);
}

namespace detail {

/// The windows of images [n, c, h, w] as [n, c, kh * kw, rows, columns], `outside` being what is outside: one
/// strided copy for each place in a window.
template <class T, class B>
Tensor<T, B> windows_of(std::string_view op, const Tensor<T, B>& x, const Windows& windows, T outside) {
  const Size2d count = windows.count(), kernel = windows.kernel;
  const Shape result{x.dim(0), x.dim(1), kernel.height * kernel.width, count.height, count.width};
  const auto from = strides_of(x.shape()), to = strides_of(result);
  /// The first window whose place is inside of the image, and one after the last.
  const auto inside = [](std::int64_t offset, std::int64_t stride, std::int64_t size,
                         std::int64_t windows_there) {
    const std::int64_t first = std::clamp<std::int64_t>((-offset + stride - 1) / stride, 0, windows_there);
    const std::int64_t end = offset < size ? (size - 1 - offset) / stride + 1 : 0;
    return std::pair(first, std::clamp(end, first, windows_there));
  };
  Rearrangement way{result, {}, false, false};
  for (std::int64_t place = 0; place < kernel.height * kernel.width; ++place) {
    const std::int64_t top = place / kernel.width * windows.dilation.height - windows.padding.height;
    const std::int64_t left = place % kernel.width * windows.dilation.width - windows.padding.width;
    const auto [row, last_row] = inside(top, windows.stride.height, x.dim(2), count.height);
    const auto [column, last_column] = inside(left, windows.stride.width, x.dim(3), count.width);
    StridedCopy piece;
    piece.add(x.dim(0), from[0], to[0]);
    piece.add(x.dim(1), from[1], to[1]);
    piece.add(last_row - row, windows.stride.height * from[2], to[3]);
    piece.add(last_column - column, windows.stride.width, 1);
    piece.from_first = (top + row * windows.stride.height) * from[2] + left + column * windows.stride.width;
    piece.to_first = place * to[2] + row * to[3] + column;
    if (piece.size > 0) way.pieces.push_back(piece);
  }
  return rearrange(op, x, std::move(way), outside);
}

}  // namespace detail

/// The windows of images as columns: x [n, c, h, w] -> [n, c * kh * kw, windows], 0 being outside of x.
/// Throws ShapeError if none fits.
template <class T, class B>
Tensor<T, B> unfold(const Tensor<T, B>& x, const Size2d& kernel, const UnfoldOptions& options = {}) {
  check::rank("unfold", {"x", x.shape()}, 4);
  const Windows windows{x.dim(1),       {x.dim(2), x.dim(3)}, kernel,
                        options.stride, options.padding,      options.dilation};
  detail::check_fit("unfold", x.shape(), windows);
  return reshape(detail::windows_of("unfold", x, windows, T()),
                 {x.dim(0), windows.depth(), windows.positions()});
}

/// Each pixel as a block of `factor` pixels: x [n, c, h, w] -> [n, c, h * factor, w * factor].
template <class T, class B>
Tensor<T, B> interpolate_nearest(const Tensor<T, B>& x, const Size2d& factor) {
  check::rank("interpolate_nearest", {"x", x.shape()}, 4);
  check::option(factor.height >= 1 && factor.width >= 1, "interpolate_nearest", "factor",
                std::min(factor.height, factor.width), "it must be at least 1");
  const std::int64_t planes = x.dim(0) * x.dim(1), h = x.dim(2), w = x.dim(3);
  return reshape(expand(reshape(x, {planes, h, 1, w, 1}), {planes, h, factor.height, w, factor.width}),
                 {x.dim(0), x.dim(1), h * factor.height, w * factor.width});
}

}  // namespace cria
