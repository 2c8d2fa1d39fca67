#pragma once
/// CPU kernel of convolutions. Threads share the images, and lines of them.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "cria/backend/cpu/convolution_direct.hpp"
#include "cria/backend/cpu/convolution_unfolded.hpp"
#include "cria/backend/cpu/gemm.hpp"
#include "cria/backend/cpu/section.hpp"
#include "cria/core/convolution.hpp"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::Convolution, Cpu> {
  template <class T>
  static void forward(Planes<const T> x, Rows<const T> weight, const Windows& windows, std::int64_t groups,
                      Planes<T> y) {
    if (is_pixelwise(windows)) return multiply_pixels(x, weight, groups, y);
    const std::int64_t channels = x.middle / groups, results = y.middle / groups;
    if (!fill_lanes<T>(results)) {
      return cpu::UnfoldedConvolution<T>{windows, groups}.forward(x, weight, y);
    }
    const std::int64_t pixels = windows.kernel.height * windows.kernel.width, width = windows.count().width;
    for (std::int64_t g = 0; g < groups; ++g) {
      const cpu::DirectConvolution<T> convolution(cpu::stencil_of(windows, channels), results,
                                                  [=](std::int64_t r, std::int64_t c, std::int64_t place) {
                                                    return weight.row(g * results + r)[c * pixels + place];
                                                  });
      for_lines(x.outer, windows.count().height, convolution,
                [=, &convolution](std::int64_t n, cpu::Section lines) {
                  convolution.run(x.plane(n).slice(g * channels, channels), lines, false,
                                  cpu::WindowTarget<T>{y.plane(n).row(g * results), y.inner, width, 1});
                });
    }
  }

  template <class T, class A>
  static void backward(Planes<const T> dy, Planes<const T> x, Rows<const T> weight, const Windows& windows,
                       std::int64_t groups, Gradient<Planes<T>> dx, Gradient<Rows<A>> dweight) {
    if (dx) add_images(dy, weight, windows, groups, dx);
    if (dweight) add_weights(dy, x, windows, groups, dweight);
  }

 private:
  /// Whether a window is a pixel: the convolution is a product then, of the kernel and the image as they are.
  static bool is_pixelwise(const Windows& windows) {
    return windows.kernel.height * windows.kernel.width == 1 && windows.stride.height == 1 &&
           windows.stride.width == 1 && windows.padding.height == 0 && windows.padding.width == 0;
  }

  /// Whether so many channels of a result are worth lying in the lanes of registers.
  template <class T>
  static bool fill_lanes(std::int64_t results) {
    return 2 * results >= cpu::lane_count<acc_t<T>>;
  }

  /// Calls f(image, lines) for all lines of windows, on all threads.
  template <class T, class F>
  static void for_lines(std::int64_t images, std::int64_t lines, const cpu::DirectConvolution<T>& convolution,
                        F f) {
    const std::int64_t at_once = convolution.lines_at_once(), parts = (lines + at_once - 1) / at_once;
    cpu::parallel_for(images * parts, 1, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t first = i % parts * at_once;
        f(i / parts, cpu::Section{first, std::min(at_once, lines - first)});
      }
    });
  }

  /// The windows over the gradients of results that bring something to the pixels [row + i stride, column + j
  /// stride].
  static cpu::Stencil stencil_of_pixels(const Windows& windows, std::int64_t row, std::int64_t column,
                                        std::int64_t results) {
    const auto& [height, width] = windows.stride;
    cpu::Stencil stencil{results,
                         windows.count(),
                         0,
                         0,
                         1,
                         {(windows.image.height - row + height - 1) / height,
                          (windows.image.width - column + width - 1) / width},
                         {}};
    // Result [y, x] has pixel [y stride + u dilation - padding, ...].
    std::int64_t first_line = 0, first_column = 0;
    for (std::int64_t u = 0; u < windows.kernel.height; ++u) {
      for (std::int64_t v = 0; v < windows.kernel.width; ++v) {
        const std::int64_t line = row + windows.padding.height - u * windows.dilation.height;
        const std::int64_t place = column + windows.padding.width - v * windows.dilation.width;
        if (line % height != 0 || place % width != 0) continue;
        stencil.taps.push_back({line / height, place / width, u * windows.kernel.width + v});
        const bool is_first = stencil.taps.size() == 1;
        first_line = is_first ? line / height : std::min(first_line, line / height);
        first_column = is_first ? place / width : std::min(first_column, place / width);
      }
    }
    for (cpu::Tap& tap : stencil.taps) {
      tap.line -= first_line;
      tap.column -= first_column;
    }
    stencil.top = -first_line;
    stencil.left = -first_column;
    return stencil;
  }

  template <class T>
  static void add_images(Planes<const T> dy, Rows<const T> weight, const Windows& windows,
                         std::int64_t groups, Gradient<Planes<T>> dx) {
    if (is_pixelwise(windows)) return multiply_pixels(dy, weight, groups, dx);
    const std::int64_t channels = dx.middle / groups, results = dy.middle / groups;
    if (!fill_lanes<T>(channels)) {
      return cpu::UnfoldedConvolution<T>{windows, groups}.add_images(dy, weight, dx);
    }
    const std::int64_t pixels = windows.kernel.height * windows.kernel.width;
    const Size2d stride = windows.stride;
    for (std::int64_t g = 0; g < groups; ++g) {
      for (std::int64_t row = 0; row < std::min(stride.height, windows.image.height); ++row) {
        for (std::int64_t column = 0; column < std::min(stride.width, windows.image.width); ++column) {
          const cpu::DirectConvolution<T> convolution(
              stencil_of_pixels(windows, row, column, results), channels,
              [=](std::int64_t c, std::int64_t r, std::int64_t place) {
                return weight.row(g * results + r)[c * pixels + place];
              });
          const std::int64_t lines = (windows.image.height - row + stride.height - 1) / stride.height;
          for_lines(dy.outer, lines, convolution, [=, &convolution](std::int64_t n, cpu::Section part) {
            convolution.run(
                dy.plane(n).slice(g * results, results), part, !dx.fresh,
                cpu::WindowTarget<T>{dx.plane(n).row(g * channels) + row * windows.image.width + column,
                                     dx.inner, stride.height * windows.image.width, stride.width});
          });
        }
      }
    }
  }

  // In parts whose number depends on that of the images alone, which are then added up in order.
  template <class T, class A>
  static void add_weights(Planes<const T> dy, Planes<const T> x, const Windows& windows, std::int64_t groups,
                          Gradient<Rows<A>> dweight) {
    const std::int64_t parts = std::min<std::int64_t>(x.outer, 8), size = dweight.rows * dweight.cols;
    std::vector<std::optional<cpu::Scratch<A>>> sums(static_cast<std::size_t>(parts));
    cpu::parallel_for(parts, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t part = begin; part < end; ++part) {
        const cpu::Section images{x.outer * part / parts,
                                  x.outer * (part + 1) / parts - x.outer * part / parts};
        const Rows<A> sum{sums[static_cast<std::size_t>(part)].emplace(size).data(), dweight.rows,
                          dweight.cols};
        if (is_pixelwise(windows)) {
          multiply_pixels(dy, x, groups, images, sum);
        } else if (fill_lanes<T>(dy.middle / groups)) {
          sum_weights(dy, x, windows, groups, images, sum);
        } else {
          cpu::UnfoldedConvolution<T>{windows, groups}.sum_weights(dy, x, images, sum);
        }
      }
    });
    if (parts == 0) return cpu::fill_if_fresh(dweight, size);
    const Vec<A> total{dweight.data, size};
    for (std::int64_t part = 0; part < parts; ++part) {
      cpu::map_range(
          0, size, part > 0 || !dweight.fresh, total, [](A sum) { return sum; },
          Vec<const A>(sums[static_cast<std::size_t>(part)]->vec()));
    }
  }

  /// Overwrites `sum` by the kernel's gradient of some images.
  template <class T, class A>
  static void sum_weights(Planes<const T> dy, Planes<const T> x, const Windows& windows, std::int64_t groups,
                          cpu::Section images, Rows<A> sum) {
    const std::int64_t channels = x.middle / groups, results = dy.middle / groups;
    for (std::int64_t g = 0; g < groups; ++g) {
      cpu::DirectWeightGradient<T> gradient(cpu::stencil_of(windows, channels), results);
      for (std::int64_t n = images.first; n < images.first + images.size; ++n) {
        gradient.add(x.plane(n).slice(g * channels, channels), dy.plane(n).slice(g * results, results));
      }
      for (std::int64_t r = 0; r < results; ++r) {
        for (std::int64_t i = 0; i < gradient.depth(); ++i) sum.row(g * results + r)[i] = gradient.at(r, i);
      }
    }
  }

  // Of windows of one pixel.
  template <class T>
  static void multiply_pixels(Planes<const T> x, Rows<const T> weight, std::int64_t groups, Planes<T> y) {
    for_groups(x.outer, groups, [=](std::int64_t n, std::int64_t g) {
      cpu::gemm(plain(cpu::rows_of_group(weight, g, groups)),
                plain(cpu::rows_of_group(x.plane(n), g, groups)), false,
                cpu::rows_of_group(y.plane(n), g, groups));
    });
  }
  template <class T>
  static void multiply_pixels(Planes<const T> dy, Rows<const T> weight, std::int64_t groups,
                              Gradient<Planes<T>> dx) {
    for_groups(dy.outer, groups, [=](std::int64_t n, std::int64_t g) {
      cpu::gemm(transposed(cpu::rows_of_group(weight, g, groups)),
                plain(cpu::rows_of_group(dy.plane(n), g, groups)), !dx.fresh,
                cpu::rows_of_group(dx.plane(n), g, groups));
    });
  }
  template <class T, class A>
  static void multiply_pixels(Planes<const T> dy, Planes<const T> x, std::int64_t groups, cpu::Section images,
                              Rows<A> sum) {
    for (std::int64_t n = images.first; n < images.first + images.size; ++n) {
      for (std::int64_t g = 0; g < groups; ++g) {
        cpu::gemm(plain(cpu::rows_of_group(dy.plane(n), g, groups)),
                  transposed(cpu::rows_of_group(x.plane(n), g, groups)), n > images.first,
                  cpu::rows_of_group(sum, g, groups));
      }
    }
  }
  template <class F>
  static void for_groups(std::int64_t images, std::int64_t groups, F f) {
    cpu::parallel_for(images * groups, 1, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) f(i / groups, i % groups);
    });
  }
};

}  // namespace cria
