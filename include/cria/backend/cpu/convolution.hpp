#pragma once
/// CPU kernel of convolutions: the windows of one image at a time become a matrix, which is multiplied.
/// Threads share the images.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "cria/backend/cpu/gemm.hpp"
#include "cria/core/convolution.hpp"
#include "cria/core/operations.hpp"

namespace cria {

namespace cpu {

/// Calls run(row, first, count, pixel) for each line of windows of each number in a window, row by row of the
/// matrix [depth, positions]: positions [first, first + count) of the row read pixel, pixel + stride, ...;
/// and rest(row, first, count) for those that lie outside of the image.
template <class Run, class Rest>
void for_each_window_line(const Windows& windows, Run run, Rest rest) {
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
    for (std::int64_t y = 0; y < count.height; ++y) {
      const std::int64_t line = top + y * windows.stride.height, first = y * count.width;
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
void unfold(const Windows& windows, const T* image, T* columns) {
  const std::int64_t positions = windows.positions(), step = windows.stride.width;
  for_each_window_line(
      windows,
      [=](std::int64_t row, std::int64_t first, std::int64_t count, std::int64_t pixel) {
        T* to = columns + row * positions + first;
        if (step == 1) {
          std::copy_n(image + pixel, count, to);
        } else {
          for (std::int64_t i = 0; i < count; ++i) to[i] = image[pixel + i * step];
        }
      },
      [=](std::int64_t row, std::int64_t first, std::int64_t count) {
        std::fill_n(columns + row * positions + first, count, T());
      });
}

/// image += what its windows have.
template <class A>
void fold(const Windows& windows, const A* columns, A* image) {
  const std::int64_t positions = windows.positions(), step = windows.stride.width;
  for_each_window_line(
      windows,
      [=](std::int64_t row, std::int64_t first, std::int64_t count, std::int64_t pixel) {
        const A* from = columns + row * positions + first;
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

/// The rows of a matrix that belong to one of several groups.
template <class T>
Rows<T> rows_of_group(Rows<T> x, std::int64_t group, std::int64_t groups) {
  return x.slice(x.rows / groups * group, x.rows / groups);
}

}  // namespace cpu

template <>
struct kernel<ops::Convolution, Cpu> {
  template <class T>
  static void forward(Planes<const T> x, Rows<const T> weight, const Windows& windows, std::int64_t groups,
                      Planes<T> y) {
    cpu::parallel_for(x.outer, 1, [=](std::int64_t begin, std::int64_t end) {
      const cpu::Scratch<T> memory(windows.depth() * windows.positions());
      const Rows<T> columns{memory.data(), windows.depth(), windows.positions()};
      for (std::int64_t n = begin; n < end; ++n) {
        cpu::unfold(windows, x.plane(n).data, columns.data);
        for (std::int64_t g = 0; g < groups; ++g) {
          cpu::gemm(plain(cpu::rows_of_group(weight, g, groups)),
                    plain(Rows<const T>(cpu::rows_of_group(columns, g, groups))), false,
                    cpu::rows_of_group(y.plane(n), g, groups));
        }
      }
    });
  }

  template <class T, class A>
  static void backward(Planes<const T> dy, Planes<const T> x, Rows<const T> weight, const Windows& windows,
                       std::int64_t groups, Gradient<Planes<T>> dx, Gradient<Rows<A>> dweight) {
    if (dx) add_images(dy, weight, windows, groups, dx);
    if (dweight) add_weights(dy, x, windows, groups, dweight);
  }

 private:
  template <class T>
  static void add_images(Planes<const T> dy, Rows<const T> weight, const Windows& windows,
                         std::int64_t groups, Gradient<Planes<T>> dx) {
    using A = acc_t<T>;
    cpu::parallel_for(dy.outer, 1, [=](std::int64_t begin, std::int64_t end) {
      const cpu::Scratch<A> memory(windows.depth() * windows.positions()), image(dx.middle * dx.inner);
      const Rows<A> columns{memory.data(), windows.depth(), windows.positions()};
      for (std::int64_t n = begin; n < end; ++n) {
        for (std::int64_t g = 0; g < groups; ++g) {
          cpu::gemm(transposed(cpu::rows_of_group(weight, g, groups)),
                    plain(cpu::rows_of_group(dy.plane(n), g, groups)), false,
                    cpu::rows_of_group(columns, g, groups));
        }
        std::fill_n(image.data(), image.vec().size, A(0));
        cpu::fold(windows, columns.data, image.data());
        cpu::map_range(
            0, image.vec().size, !dx.fresh, Vec<T>{dx.plane(n).data, image.vec().size}, [](A d) { return d; },
            Vec<const A>(image.vec()));
      }
    });
  }

  // In parts whose number depends on that of the images alone, which are then added up in order.
  template <class T, class A>
  static void add_weights(Planes<const T> dy, Planes<const T> x, const Windows& windows, std::int64_t groups,
                          Gradient<Rows<A>> dweight) {
    const std::int64_t parts = std::min<std::int64_t>(x.outer, 8), size = dweight.rows * dweight.cols;
    std::vector<std::optional<cpu::Scratch<A>>> sums(static_cast<std::size_t>(parts));
    cpu::parallel_for(parts, 1, [&](std::int64_t begin, std::int64_t end) {
      const cpu::Scratch<T> memory(windows.depth() * windows.positions());
      const Rows<T> columns{memory.data(), windows.depth(), windows.positions()};
      for (std::int64_t part = begin; part < end; ++part) {
        const std::int64_t first = x.outer * part / parts, last = x.outer * (part + 1) / parts;
        const Rows<A> sum{sums[static_cast<std::size_t>(part)].emplace(size).data(), dweight.rows,
                          dweight.cols};
        for (std::int64_t n = first; n < last; ++n) {
          cpu::unfold(windows, x.plane(n).data, columns.data);
          for (std::int64_t g = 0; g < groups; ++g) {
            cpu::gemm(plain(cpu::rows_of_group(dy.plane(n), g, groups)),
                      transposed(Rows<const T>(cpu::rows_of_group(columns, g, groups))), n > first,
                      cpu::rows_of_group(sum, g, groups));
          }
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
};

}  // namespace cria
