#pragma once
/// Convolutions whose windows are written down: a few lines of an image's windows at a time become a matrix,
/// which is multiplied while it is in cache. For groups of few channels, which would leave lanes of registers
/// empty otherwise (convolution_direct.hpp).

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "cria/backend/cpu/gemm.hpp"
#include "cria/backend/cpu/section.hpp"
#include "cria/core/convolution.hpp"

namespace cria::cpu {

/// Calls run(row, first, count, pixel) for each of the lines of windows and each number in a window, row by
/// row of the matrix [depth, positions]: positions [first, first + count) of the row read pixel, pixel +
/// stride, ...; and rest(row, first, count) for those that lie outside of the image.
template <class Run, class Rest>
void for_each_window_line(const Windows& windows, Section lines, Run run, Rest rest) {
  const auto& [height, width] = windows.image;
  const Size2d count = windows.count();
  for (std::int64_t row = 0; row < windows.depth(); ++row) {
    const std::int64_t kx = row % windows.kernel.width,
                       ky = row / windows.kernel.width % windows.kernel.height;
    const std::int64_t channel = row / (windows.kernel.width * windows.kernel.height);
    const std::int64_t left = kx * windows.dilation.width - windows.padding.width;
    const std::int64_t top = ky * windows.dilation.height - windows.padding.height;
    const std::int64_t step = windows.stride.width;
    // Windows x with 0 <= left + x step < width.
    const std::int64_t begin = std::clamp<std::int64_t>((-left + step - 1) / step, 0, count.width);
    const std::int64_t end =
        std::clamp<std::int64_t>(left < width ? (width - 1 - left) / step + 1 : 0, begin, count.width);
    for (std::int64_t y = 0; y < lines.size; ++y) {
      const std::int64_t line = top + (lines.first + y) * windows.stride.height, first = y * count.width;
      if (line < 0 || line >= height) {
        rest(row, first, count.width);
        continue;
      }
      rest(row, first, begin);
      run(row, first + begin, end - begin, (channel * height + line) * width + left + begin * step);
      rest(row, first + end, count.width - end);
    }
  }
}

/// The windows of an image as columns of a matrix [depth, positions].
template <class T>
void unfold(const Windows& windows, Section lines, const T* image, Rows<T> columns) {
  const std::int64_t step = windows.stride.width;
  for_each_window_line(
      windows, lines,
      [=](std::int64_t row, std::int64_t first, std::int64_t count, std::int64_t pixel) {
        T* to = columns.data + row * columns.cols + first;
        if (step == 1) {
          std::copy_n(image + pixel, count, to);
        } else {
          for (std::int64_t i = 0; i < count; ++i) to[i] = image[pixel + i * step];
        }
      },
      [=](std::int64_t row, std::int64_t first, std::int64_t count) {
        std::fill_n(columns.data + row * columns.cols + first, count, T());
      });
}

/// image += what its windows have.
template <class A>
void fold(const Windows& windows, Section lines, Rows<const A> columns, A* image) {
  const std::int64_t step = windows.stride.width;
  for_each_window_line(
      windows, lines,
      [=](std::int64_t row, std::int64_t first, std::int64_t count, std::int64_t pixel) {
        const A* from = columns.data + row * columns.cols + first;
        A* to = image + pixel;
        if (step == 1) {
          CRIA_SIMD
          for (std::int64_t i = 0; i < count; ++i) to[i] += from[i];
        } else {
          for (std::int64_t i = 0; i < count; ++i) to[i * step] += from[i];
        }
      },
      [](std::int64_t, std::int64_t, std::int64_t) {});
}

/// The matrices of some lines of an image's windows.
template <class A, class T>
class Tiles {
 public:
  /// `channels`: those of the image that the windows are multiplied to.
  Tiles(const Windows& windows, std::int64_t channels)
      : width_(windows.count().width),
        height_(windows.count().height),
        lines_(lines_in_cache(height_, windows.depth() * width_ * std::int64_t{sizeof(A)}, in_cache)),
        columns_(windows.depth() * lines_ * width_),
        part_(lines_ < height_ ? channels * lines_ * width_ : 0),
        depth_(windows.depth()) {}

  /// Calls f(lines, columns), the columns being a matrix [depth, positions of the lines] to work in.
  template <class F>
  void for_each(F f) const {
    for_each_section({0, height_}, lines_, [&](Section lines) {
      f(lines, Rows<A>{columns_.data(), depth_, lines.size * width_});
    });
  }

  /// The lines of all channels of an image, which lie in memory of their own unless they are all.
  Rows<const T> read(Section lines, Rows<const T> image) const {
    if (is_whole()) return image;
    const Rows<T> part = part_of(lines, image.rows);
    for (std::int64_t c = 0; c < image.rows; ++c) {
      std::copy_n(image.row(c) + lines.first * width_, part.cols, part.row(c));
    }
    return part;
  }
  /// Where to put what `write` is to bring to the lines of an image.
  Rows<T> target(Section lines, Rows<T> image) const {
    return is_whole() ? image : part_of(lines, image.rows);
  }
  void write(Section lines, Rows<T> image) const {
    if (is_whole()) return;
    const Rows<T> part = part_of(lines, image.rows);
    for (std::int64_t c = 0; c < image.rows; ++c) {
      std::copy_n(part.row(c), part.cols, image.row(c) + lines.first * width_);
    }
  }

 private:
  bool is_whole() const { return lines_ == height_; }
  Rows<T> part_of(Section lines, std::int64_t channels) const {
    return {part_.data(), channels, lines.size * width_};
  }

  static constexpr std::int64_t in_cache = 1024 * 1024;  // bytes, about what a core has for itself

  std::int64_t width_, height_, lines_;
  Scratch<A> columns_;
  Scratch<T> part_;
  std::int64_t depth_;
};

/// The rows of a matrix that belong to one of several groups.
template <class T>
Rows<T> rows_of_group(Rows<T> x, std::int64_t group, std::int64_t groups) {
  return x.slice(x.rows / groups * group, x.rows / groups);
}

/// A convolution of the rows of `weight` [results, depth / groups].
template <class T>
struct UnfoldedConvolution {
  using A = acc_t<T>;

  Windows windows;
  std::int64_t groups;

  void forward(Planes<const T> x, Rows<const T> weight, Planes<T> y) const {
    parallel_for(x.outer, 1, [=, this](std::int64_t begin, std::int64_t end) {
      const Tiles<T, T> tiles(windows, y.middle);
      for (std::int64_t n = begin; n < end; ++n) {
        tiles.for_each([&](Section lines, Rows<T> columns) {
          unfold(windows, lines, x.plane(n).data, columns);
          for (std::int64_t g = 0; g < groups; ++g) {
            gemm(plain(rows_of_group(weight, g, groups)),
                 plain(Rows<const T>(rows_of_group(columns, g, groups))), false,
                 rows_of_group(tiles.target(lines, y.plane(n)), g, groups));
          }
          tiles.write(lines, y.plane(n));
        });
      }
    });
  }

  void add_images(Planes<const T> dy, Rows<const T> weight, Gradient<Planes<T>> dx) const {
    parallel_for(dy.outer, 1, [=, this](std::int64_t begin, std::int64_t end) {
      const Tiles<A, T> tiles(windows, dy.middle);
      const Scratch<A> image(dx.middle * dx.inner);
      for (std::int64_t n = begin; n < end; ++n) {
        std::fill_n(image.data(), image.vec().size, A(0));
        tiles.for_each([&](Section lines, Rows<A> columns) {
          const Rows<const T> part = tiles.read(lines, dy.plane(n));
          for (std::int64_t g = 0; g < groups; ++g) {
            gemm(transposed(rows_of_group(weight, g, groups)), plain(rows_of_group(part, g, groups)), false,
                 rows_of_group(columns, g, groups));
          }
          fold(windows, lines, Rows<const A>(columns), image.data());
        });
        map_range(
            0, image.vec().size, !dx.fresh, Vec<T>{dx.plane(n).data, image.vec().size}, [](A d) { return d; },
            Vec<const A>(image.vec()));
      }
    });
  }

  /// Overwrites `sum` by the kernel's gradient of some images.
  void sum_weights(Planes<const T> dy, Planes<const T> x, Section images, Rows<A> sum) const {
    const Tiles<T, T> tiles(windows, dy.middle);
    for (std::int64_t n = images.first; n < images.first + images.size; ++n) {
      tiles.for_each([&](Section lines, Rows<T> columns) {
        unfold(windows, lines, x.plane(n).data, columns);
        const Rows<const T> dy_part = tiles.read(lines, dy.plane(n));
        for (std::int64_t g = 0; g < groups; ++g) {
          gemm(plain(rows_of_group(dy_part, g, groups)),
               transposed(Rows<const T>(rows_of_group(columns, g, groups))),
               n > images.first || lines.first > 0, rows_of_group(sum, g, groups));
        }
      });
    }
  }
};

}  // namespace cria::cpu
