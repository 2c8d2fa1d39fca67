#pragma once
/// The sizes of a convolution over two dimensions.

#include <cstdint>

#include "cria/core/config.hpp"

namespace cria {

/// A number for the height and one for the width, or one for both.
struct Size2d {
  std::int64_t height = 1;
  std::int64_t width = 1;

  CRIA_HOST_DEVICE constexpr Size2d(std::int64_t both) : height(both), width(both) {}
  CRIA_HOST_DEVICE constexpr Size2d(std::int64_t h, std::int64_t w) : height(h), width(w) {}
};

/// Windows of size `kernel` over an image [channels, height, width]: window [y, x] begins at pixel y stride -
/// padding, its pixels are `dilation` apart, and what lies outside of the image is 0.
struct Windows {
  std::int64_t channels;
  Size2d image;
  Size2d kernel;
  Size2d stride;
  Size2d padding;
  Size2d dilation;

  /// How many windows there are.
  CRIA_HOST_DEVICE Size2d count() const {
    return {count(image.height, kernel.height, stride.height, padding.height, dilation.height),
            count(image.width, kernel.width, stride.width, padding.width, dilation.width)};
  }
  CRIA_HOST_DEVICE std::int64_t positions() const { return count().height * count().width; }
  /// Numbers in a window of all channels.
  CRIA_HOST_DEVICE std::int64_t depth() const { return channels * kernel.height * kernel.width; }

 private:
  CRIA_HOST_DEVICE static std::int64_t count(std::int64_t image, std::int64_t kernel, std::int64_t stride,
                                             std::int64_t padding, std::int64_t dilation) {
    const std::int64_t room = image + 2 * padding - dilation * (kernel - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
  }
};

}  // namespace cria
