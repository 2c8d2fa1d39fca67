#pragma once
/// Convolutions whose windows are not written down: channels of the result lie in the lanes of registers,
/// where a tile of neighbouring windows stays until all of their pixels were multiplied in, and pixels are
/// read from a copy of the image's lines with zeros around them. So a pixel is copied once, not once for each
/// window that has it. An image's gradient is such a sum, too, over the gradients of the results; with
/// strides, one for each of the pixels between two windows, which are reached by different elements of the
/// kernel.

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "cria/backend/cpu/cpu.hpp"
#include "cria/backend/cpu/factor.hpp"
#include "cria/backend/cpu/lanes.hpp"
#include "cria/backend/cpu/register_tile.hpp"
#include "cria/backend/cpu/section.hpp"
#include "cria/core/convolution.hpp"
#include "cria/core/view.hpp"

namespace cria::cpu {

/// A pixel of a window, from its first one, and the place of its weights among those of a channel.
struct Tap {
  std::int64_t line, column, weight;
};

/// Windows over images [channels, height, width], as a sum goes over them: window [y, x] begins `step` [y, x]
/// after the pixel [-top, -left].
struct Stencil {
  std::int64_t channels;
  Size2d image;
  std::int64_t top, left;
  Size2d step;
  Size2d count;
  std::vector<Tap> taps;

  /// Lines and columns from a window's first pixel to the end of its last one.
  Size2d reach() const {
    Size2d size(0);
    for (const Tap& tap : taps) {
      size.height = std::max(size.height, tap.line + 1);
      size.width = std::max(size.width, tap.column + 1);
    }
    return size;
  }
};

/// The windows of a convolution, for `channels` of the image's.
inline Stencil stencil_of(const Windows& windows, std::int64_t channels) {
  Stencil stencil{
      channels, windows.image, windows.padding.height, windows.padding.width, windows.stride, windows.count(),
      {}};
  for (std::int64_t u = 0; u < windows.kernel.height; ++u) {
    for (std::int64_t v = 0; v < windows.kernel.width; ++v) {
      stencil.taps.push_back(
          {u * windows.dilation.height, v * windows.dilation.width, u * windows.kernel.width + v});
    }
  }
  return stencil;
}

/// Lines of images, with the zeros around them, as factors [channels, lines, width]: of a line the pixels
/// that windows next to each other begin with are neighbours, then come those one further on.
template <class F>
class PaddedLines {
 public:
  /// For at most `most_windows` lines of windows at a time. The stencil must live as long.
  PaddedLines(const Stencil& stencil, std::int64_t most_windows)
      : stencil_(stencil),
        reach_(stencil.reach()),
        columns_((stencil.count.width - 1) * stencil.step.width + reach_.width),
        phase_((columns_ + stencil.step.width - 1) / stencil.step.width),
        width_(phase_ * stencil.step.width),
        lines_((most_windows - 1) * stencil.step.height + reach_.height),
        // Tiles read whole registers of them.
        memory_(factors_for<F>(stencil.channels) * lines_ * width_ + lane_count<F>) {
    for (const Tap& tap : stencil.taps) {
      offsets_.push_back(tap.line * width_ + tap.column % stencil.step.width * phase_ +
                         tap.column / stencil.step.width);
    }
  }

  /// Of an image [channels, height width], for some lines of windows.
  template <class T>
  void load(Rows<const T> image, Section windows) {
    const std::int64_t lines = (windows.size - 1) * stencil_.step.height + reach_.height;
    const Scratch<T> upper(width_), lower(width_);
    for (std::int64_t c = 0; c < factors_for<F>(stencil_.channels); ++c) {
      const std::int64_t channel = c * numbers_in<F>;
      const bool has_lower = channel + numbers_in<F> <= stencil_.channels && numbers_in<F> == 2;
      for (std::int64_t i = 0; i < lines; ++i) {
        F* to = memory_.data() + (c * lines_ + i) * width_;
        const std::int64_t line = windows.first * stencil_.step.height + i - stencil_.top;
        if (line < 0 || line >= stencil_.image.height) {
          std::fill_n(to, width_, F{});
          continue;
        }
        const T* from = image.row(channel) + line * stencil_.image.width;
        if constexpr (std::is_same_v<F, T>) {
          place_line(from, to);
        } else {
          place_line(from, upper.data());
          if (has_lower) place_line(from + image.cols, lower.data());
          Packing<F>::down_columns(static_cast<const T*>(upper.data()),
                                   has_lower ? static_cast<const T*>(lower.data()) : nullptr, width_, to);
        }
      }
    }
  }

  /// The first pixel of window [y, x], y being counted from the first one that was loaded.
  const F* at(std::int64_t y, std::int64_t x) const {
    return memory_.data() + y * stencil_.step.height * width_ + x;
  }
  /// From a channel's pixel to the next one's.
  std::int64_t channel() const { return lines_ * width_; }
  /// From a window's first pixel to the others.
  const std::vector<std::int64_t>& offsets() const { return offsets_; }

 private:
  /// A line of an image between zeros, by loops, which are faster than calls for short lines.
  template <class T>
  void place_line(const T* line, T* to) const {
    const std::int64_t first = std::max<std::int64_t>(-stencil_.left, 0);
    const std::int64_t end = std::max(std::min(stencil_.image.width, columns_ - stencil_.left), first);
    if (stencil_.step.width == 1) {
      const std::int64_t begin = std::min(first + stencil_.left, width_);
      for (std::int64_t x = 0; x < begin; ++x) to[x] = T();
      const T* from = line + first;
      CRIA_SIMD
      for (std::int64_t x = 0; x < end - first; ++x) to[begin + x] = from[x];
      for (std::int64_t x = begin + end - first; x < width_; ++x) to[x] = T();
      return;
    }
    std::fill_n(to, width_, T());
    for (std::int64_t x = first; x < end; ++x) {
      const std::int64_t column = x + stencil_.left;
      to[column % stencil_.step.width * phase_ + column / stencil_.step.width] = line[x];
    }
  }

  const Stencil& stencil_;
  Size2d reach_;
  std::int64_t columns_, phase_, width_, lines_;
  Scratch<F> memory_;
  std::vector<std::int64_t> offsets_;
};

namespace detail {

/// sums[i, lane] = the sum over channels and a window's pixels for `Height` windows next to each other and
/// `Width` registers of the result's channels. weight [channels, pixels, ..], `stride` apart.
template <int Height, int Width, class F>
[[gnu::noinline]] void convolve_tile(const F* first, std::int64_t channels, std::int64_t channel,
                                     const std::vector<std::int64_t>& offsets, const F* weight,
                                     std::int64_t stride, sum_t<F>* sums) {
  using A = sum_t<F>;
  Lanes<A> sum[Height][Width] = {};
  const std::int64_t* const begin = offsets.data();
  const std::int64_t* const end = begin + offsets.size();
  for (std::int64_t c = 0; c < channels; ++c, first += channel) {
    for (const std::int64_t* offset = begin; offset < end; ++offset, weight += stride) {
      const F* pixel = first + *offset;
#pragma GCC unroll 14
      for (int i = 0; i < Height; ++i) {
#pragma GCC unroll 2
        for (int j = 0; j < Width; ++j) {
          sum[i][j] = multiply_add(pixel[i], weight + j * lane_count<F>, sum[i][j]);
        }
      }
    }
  }
#pragma GCC unroll 14
  for (int i = 0; i < Height; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < Width; ++j) store_lanes<A>(sum[i][j], sums + i * stride + j * lane_count<A>);
  }
}

/// Windows and registers of the largest tile.
inline constexpr int windows_of_tile = register_count == 32 ? 14 : 6, registers_of_tile = 2;

/// Calls f(lane, registers) for the registers that `lanes` numbers of A fill, as many at a time as a tile
/// has.
template <class A, class F>
void for_each_registers(std::int64_t lanes, F f) {
  constexpr std::int64_t most = registers_of_tile * lane_count<A>;
  std::int64_t lane = 0;
  for (; lane + most <= lanes; lane += most) f(lane, std::integral_constant<int, registers_of_tile>());
  if (lane < lanes) f(lane, std::integral_constant<int, 1>());
}

/// sum[i] += the products over `count` windows of a line of pixel i of each of them, one of Height that lie
/// at offset[i] from the window's first one, and the gradients of the windows' results, dy [count, stride].
template <int Height, int Width, class A>
CRIA_INLINE void add_line(std::int64_t count, const A* first, const std::int64_t* offset, const A* dy,
                          std::int64_t stride, Lanes<A> (&sum)[Height][Width]) {
  const A* pixel[Height];
#pragma GCC unroll 8
  for (int i = 0; i < Height; ++i) pixel[i] = first + offset[i];
  for (std::int64_t x = 0; x < count; ++x, dy += stride) {
#pragma GCC unroll 8
    for (int i = 0; i < Height; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < Width; ++j) {
        sum[i][j] = multiply_add(pixel[i][x], dy + j * lane_count<A>, sum[i][j]);
      }
    }
  }
}

/// sums [Height, stride] += the same over some lines of windows.
template <int Height, int Width, class A>
[[gnu::noinline]] void add_products_of_windows(const PaddedLines<A>& lines, std::int64_t line_count,
                                               std::int64_t count, const std::int64_t* offset, const A* dy,
                                               std::int64_t stride, A* sums) {
  Lanes<A> sum[Height][Width] = {};
  for (std::int64_t y = 0; y < line_count; ++y) {
    add_line(count, lines.at(y, 0), offset, dy + y * count * stride, stride, sum);
  }
#pragma GCC unroll 8
  for (int i = 0; i < Height; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < Width; ++j) {
      A* to = sums + i * stride + j * lane_count<A>;
      store_lanes<A>(load_lanes(to) + sum[i][j], to);
    }
  }
}

}  // namespace detail

/// Where the results of windows [y, x] go: place [y, x] = data[y line + x column], each channel `channel`
/// further on.
template <class T>
struct WindowTarget {
  T* data;
  std::int64_t channel, line, column;
};

/// Sums over windows, for a group of channels.
template <class T>
class DirectConvolution {
 public:
  using F = factor_t<T>;
  using A = acc_t<T>;

  /// weight_at(channel of the result, channel that is summed over, Tap::weight) is an element of the kernel.
  template <class WeightAt>
  DirectConvolution(Stencil stencil, std::int64_t results, WeightAt weight_at)
      : stencil_(std::move(stencil)),
        results_(results),
        stride_(padded<F>(results)),
        weight_(factors_for<F>(stencil_.channels) * taps() * stride_) {
    const Scratch<T> upper(results), lower(results);
    F* to = weight_.data();
    for (std::int64_t c = 0; c < stencil_.channels; c += numbers_in<F>) {
      const bool has_lower = numbers_in<F> == 2 && c + 1 < stencil_.channels;
      for (const Tap& tap : stencil_.taps) {
        for (std::int64_t r = 0; r < results; ++r) {
          upper[r] = weight_at(r, c, tap.weight);
          if (has_lower) lower[r] = weight_at(r, c + 1, tap.weight);
        }
        Packing<F>::down_columns(static_cast<const T*>(upper.data()),
                                 has_lower ? static_cast<const T*>(lower.data()) : nullptr, results, to);
        std::fill(to + results, to + stride_, F{});
        to += stride_;
      }
    }
  }

  /// Lines of windows whose pixels fit in a core's own cache.
  std::int64_t lines_at_once() const {
    const std::int64_t bytes_of_line = stencil_.channels * (stencil_.image.width + stencil_.left) *
                                       stencil_.step.height * std::int64_t{sizeof(T)};
    return lines_in_cache(stencil_.count.height, bytes_of_line, in_cache);
  }

  /// The results of some lines of windows of an image [channels, height width], which are added to what `to`
  /// has or overwrite it.
  void run(Rows<const T> image, Section windows, bool accumulate, WindowTarget<T> to) const {
    const std::int64_t count = stencil_.count.width, row = padded<A>(count);
    if (count == 0 || windows.size == 0) return;
    PaddedLines<F> lines(stencil_, windows.size);
    lines.load(image, windows);
    const Scratch<A> sums(count * stride_), transposed_sums(stride_ * row);
    for (std::int64_t y = 0; y < windows.size; ++y) {
      sum_line(lines, y, sums.data());
      transpose(count, results_, static_cast<const A*>(sums.data()), stride_, transposed_sums.data(), row);
      for (std::int64_t r = 0; r < results_; ++r) {
        write(transposed_sums.data() + r * row, accumulate,
              to.data + r * to.channel + (windows.first + y) * to.line, to.column);
      }
    }
  }

 private:
  static constexpr std::int64_t in_cache = 512 * 1024;  // bytes

  std::int64_t taps() const { return static_cast<std::int64_t>(stencil_.taps.size()); }

  void sum_line(const PaddedLines<F>& lines, std::int64_t y, A* sums) const {
    const std::int64_t channels = factors_for<F>(stencil_.channels);
    const auto registers = [&]<int Width>(std::int64_t lane, std::integral_constant<int, Width>) {
      constexpr int most = detail::windows_of_tile;
      for_each_tile<most, (most + 1) / 2, 2, 1>(
          stencil_.count.width, [&]<int Height>(std::int64_t x, std::integral_constant<int, Height>) {
            detail::convolve_tile<Height, Width>(lines.at(y, x), channels, lines.channel(), lines.offsets(),
                                                 weight_.data() + lane, stride_, sums + x * stride_ + lane);
          });
    };
    detail::for_each_registers<A>(stride_, registers);
  }

  void write(A* line, bool accumulate, T* to, std::int64_t column) const {
    const std::int64_t count = stencil_.count.width;
    if (column != 1) {
      for (std::int64_t x = 0; x < count; ++x, to += column) {
        *to = static_cast<T>(accumulate ? line[x] + static_cast<A>(*to) : line[x]);
      }
      return;
    }
    if (accumulate) {
      CRIA_SIMD
      for (std::int64_t x = 0; x < count; ++x) line[x] += static_cast<A>(to[x]);
    }
    if constexpr (std::is_same_v<T, A>) {
      CRIA_SIMD
      for (std::int64_t x = 0; x < count; ++x) to[x] = line[x];  // faster than a call for a short line
    } else {
      convert_range(static_cast<const A*>(line), to, count);
    }
  }

  Stencil stencil_;
  std::int64_t results_, stride_;
  Scratch<F> weight_;
};

/// The gradient of a kernel for a group of channels, summed over images, in acc_t<T>.
template <class T>
class DirectWeightGradient {
 public:
  using A = acc_t<T>;

  DirectWeightGradient(Stencil stencil, std::int64_t results)
      : stencil_(std::move(stencil)),
        results_(results),
        stride_(padded<A>(results)),
        depth_(stencil_.channels * static_cast<std::int64_t>(stencil_.taps.size())),
        lines_at_once_(lines_in_cache(stencil_.count.height,
                                      stencil_.count.width * stride_ * std::int64_t{sizeof(A)}, in_cache)),
        positions_(padded<A>(lines_at_once_ * stencil_.count.width)),
        lines_(stencil_, lines_at_once_),
        sums_(depth_ * stride_),
        wide_(results * positions_),
        dy_t_(positions_ * stride_) {
    std::fill_n(sums_.data(), depth_ * stride_, A(0));
    for (std::int64_t c = 0; c < stencil_.channels; ++c) {
      for (const std::int64_t offset : lines_.offsets()) offsets_.push_back(c * lines_.channel() + offset);
    }
  }

  /// Adds what an image [channels, height width] and the gradients of its results [results, windows] bring.
  void add(Rows<const T> image, Rows<const T> dy) {
    const std::int64_t count = stencil_.count.width;
    for_each_section({0, stencil_.count.height}, lines_at_once_, [&](Section windows) {
      lines_.load(image, windows);
      const std::int64_t positions = windows.size * count;
      for (std::int64_t r = 0; r < results_; ++r) {
        convert_range(dy.row(r) + windows.first * count, wide_.data() + r * positions_, positions);
      }
      transpose(results_, positions, static_cast<const A*>(wide_.data()), positions_, dy_t_.data(), stride_);
      add_lines(windows.size);
    });
  }

  /// The sum for element `index` of the kernel's row `result`.
  A at(std::int64_t result, std::int64_t index) const { return sums_[index * stride_ + result]; }
  /// Elements of a row.
  std::int64_t depth() const { return depth_; }

 private:
  static constexpr std::int64_t in_cache = 256 * 1024;  // bytes

  /// Adds what the lines that are loaded bring.
  void add_lines(std::int64_t line_count) {
    const auto registers = [&]<int Width>(std::int64_t lane, std::integral_constant<int, Width>) {
      for_each_tile<tile_height, 3, 1>(
          depth_, [&]<int Height>(std::int64_t i, std::integral_constant<int, Height>) {
            detail::add_products_of_windows<Height, Width>(lines_, line_count, stencil_.count.width,
                                                           offsets_.data() + i, dy_t_.data() + lane, stride_,
                                                           sums_.data() + i * stride_ + lane);
          });
    };
    detail::for_each_registers<A>(stride_, registers);
  }

  Stencil stencil_;
  std::int64_t results_, stride_, depth_, lines_at_once_, positions_;
  PaddedLines<A> lines_;
  std::vector<std::int64_t> offsets_;  // of a window's pixels in all channels
  Scratch<A> sums_;                    // [depth, stride]
  Scratch<A> wide_, dy_t_;             // gradients of results [results, positions], and transposed
};

}  // namespace cria::cpu
