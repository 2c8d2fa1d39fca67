#pragma once
/// CPU kernels of pooling.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "cria/backend/cpu/lanes.hpp"
#include "cria/backend/cpu/map.hpp"
#include "cria/core/convolution.hpp"
#include "cria/core/formulas.hpp"
#include "cria/core/operations.hpp"

namespace cria {

namespace cpu {

/// An image with what is beside it, columns that are a stride apart being neighbours: so the pixels that the
/// windows of a line have in the same place lie in a row. Rows have room for whole registers.
template <class A>
class PooledImage {
 public:
  /// What is beside the image is `outside`.
  PooledImage(const Windows& windows, A outside)
      : windows_(windows),
        columns_(padded<A>(windows.count().width)),
        phase_(columns_ + (windows.kernel.width - 1) / windows.stride.width),
        row_(phase_ * windows.stride.width),
        memory_(windows.image.height * row_) {
    fill(outside);
  }

  /// How many windows a line has, in whole registers.
  std::int64_t columns() const { return columns_; }
  /// The first row of pixels of a line of windows.
  std::int64_t first_row(std::int64_t line) const {
    return std::max<std::int64_t>(line * windows_.stride.height - windows_.padding.height, 0);
  }

  void fill(A value) const { std::fill_n(memory_.data(), windows_.image.height * row_, value); }
  void read(const A* image) const {
    const std::int64_t pixels = windows_.image.height * windows_.image.width;
    for_each_run([=, this](std::int64_t size, std::int64_t pixel, auto stride, A* here) {
      // Without padding, what is beside the image is in no window, so a row may go on into the next one.
      if (windows_.padding.width == 0 && pixel + phase_ * stride <= pixels) size = phase_;
      CRIA_SIMD
      for (std::int64_t k = 0; k < size; ++k) here[k] = image[pixel + k * stride];
    });
  }
  void add_to(A* image) const {
    for_each_run([image](std::int64_t size, std::int64_t pixel, auto stride, const A* here) {
      for (std::int64_t k = 0; k < size; ++k) image[pixel + k * stride] += here[k];
    });
  }

  /// Calls body(place, pixel) for each place in the windows of a line, in order: what they have there, and
  /// the number of the first one's pixel.
  template <class F>
  void for_each_place(std::int64_t line, F body) const {
    const std::int64_t stride = windows_.stride.width;
    const std::int64_t end = line * windows_.stride.height - windows_.padding.height + windows_.kernel.height;
    for (std::int64_t row = first_row(line); row < std::min(end, windows_.image.height); ++row) {
      A* phase = memory_.data() + row * row_;
      std::int64_t step = 0, number = 0;  // column v of a window is column `step` of phase `number`
      for (std::int64_t v = 0; v < windows_.kernel.width; ++v) {
        body(phase + number * phase_ + step, row * windows_.image.width + v - windows_.padding.width);
        if (++number == stride) {
          number = 0;
          ++step;
        }
      }
    }
  }

 private:
  /// Calls copy(size, pixel, stride, here) for pixels that are a stride apart in the image, from number
  /// `pixel` on, and neighbours here. Strides of 1 and 2 are constants, so that the loop is vectorised.
  template <class F>
  void for_each_run(F copy) const {
    switch (windows_.stride.width) {
      case 1:
        return for_each_run(std::integral_constant<std::int64_t, 1>(), copy);
      case 2:
        return for_each_run(std::integral_constant<std::int64_t, 2>(), copy);
      default:
        return for_each_run(windows_.stride.width, copy);
    }
  }
  template <class Stride, class F>
  void for_each_run(Stride stride, F copy) const {
    const std::int64_t width = windows_.image.width;
    for (std::int64_t number = 0; number < stride; ++number) {
      const std::int64_t left = number - windows_.padding.width;  // the phase's first column in the image
      const std::int64_t first = left < 0 ? (-left + stride - 1) / stride : 0;
      const std::int64_t end = std::min(phase_, left < width ? (width - 1 - left) / stride + 1 : 0);
      for (std::int64_t row = 0; row < windows_.image.height; ++row) {
        copy(end - first, row * width + first * stride + left, stride,
             memory_.data() + row * row_ + number * phase_ + first);
      }
    }
  }

  Windows windows_;
  std::int64_t columns_, phase_, row_;  // sizes
  Scratch<A> memory_;
};

/// An image's gradient so far in acc_t, to be added to.
template <class T>
acc_t<T>* begin_sums(const Wide<T>& sums, const Gradient<Rows<T>>& dx, std::int64_t image) {
  if (dx.fresh) {
    std::fill_n(sums.target(dx.row(image)), dx.cols, acc_t<T>(0));
  } else {
    sums.read(dx.row(image), dx.cols);
  }
  return sums.target(dx.row(image));
}

}  // namespace cpu

template <>
struct kernel<ops::MaxPool, Cpu> {
  // A register's worth of windows at a time.
  template <class T>
  static void forward(Rows<const T> x, const Windows& windows, Rows<T> y, Rows<std::int32_t> pixel) {
    using A = acc_t<T>;
    constexpr A least = -std::numeric_limits<A>::infinity();
    const Size2d count = windows.count();
    cpu::parallel_for(x.rows, cpu::rows_for_thread(x.cols), [&](std::int64_t begin, std::int64_t end) {
      const cpu::Wide<T> input(x.cols), output(y.cols);
      const cpu::PooledImage<A> image(windows, least);
      const std::int64_t columns = image.columns();
      const cpu::Scratch<Number<A>> shifts(columns), firsts(columns);
      for (std::int64_t j = 0; j < columns; ++j) {
        const std::int64_t shift = j * windows.stride.width;
        shifts[j] = static_cast<Number<A>>(shift);
        firsts[j] = static_cast<Number<A>>(std::max<std::int64_t>(shift - windows.padding.width, 0));
      }
      const cpu::Scratch<A> last_greatest(columns);
      const cpu::Scratch<std::int32_t> last_numbers(columns);
      for (std::int64_t i = begin; i < end; ++i) {
        image.read(input.read(x.row(i), x.cols));
        A* to = output.target(y.row(i));
        std::int32_t* numbers_to = pixel.row(i);
        for (std::int64_t line = 0; line < count.height; ++line) {
          // Registers reach into the next line, which comes after; those of the last ones are cut off.
          const std::int64_t at = line * count.width;
          const bool is_last = at + columns > y.cols;
          A* line_to = is_last ? last_greatest.data() : to + at;
          std::int32_t* numbers_line = is_last ? last_numbers.data() : numbers_to + at;
          const std::int64_t row = image.first_row(line) * windows.image.width;
          for (std::int64_t j = 0; j < columns; j += cpu::lane_count<A>) {
            cpu::Lanes<A> greatest = cpu::Lanes<A>{} + least;
            auto number = cpu::load_lanes(firsts.data() + j) + static_cast<Number<A>>(row);
            const auto shift = cpu::load_lanes(shifts.data() + j);
            image.for_each_place(line, [&](const A* place, std::int64_t first) {
              const auto value = cpu::load_lanes<A>(place + j);
              const auto keeps = (value > greatest) | (value != value);
              greatest = keeps ? value : greatest;
              number = keeps ? shift + static_cast<Number<A>>(first) : number;
            });
            cpu::store_lanes<A>(greatest, line_to + j);
            store_numbers<A>(number, numbers_line + j);
          }
          if (is_last) {
            std::copy_n(line_to, count.width, to + at);
            std::copy_n(numbers_line, count.width, numbers_to + at);
          }
        }
        output.write(y.row(i), y.cols);
      }
    });
  }

  template <class T>
  static void backward(Rows<const T> dy, Rows<const std::int32_t> pixel, const Windows&,
                       Gradient<Rows<T>> dx) {
    using A = acc_t<T>;
    cpu::parallel_for(dx.rows, cpu::rows_for_thread(dx.cols), [=](std::int64_t begin, std::int64_t end) {
      const cpu::Wide<T> gradient(dy.cols), sums(dx.cols);
      for (std::int64_t i = begin; i < end; ++i) {
        const A* from = gradient.read(dy.row(i), dy.cols);
        A* to = cpu::begin_sums(sums, dx, i);
        const std::int32_t* at = pixel.row(i);
        for (std::int64_t j = 0; j < dy.cols; ++j) to[at[j]] += from[j];
        sums.write(dx.row(i), dx.cols);
      }
    });
  }

 private:
  /// A pixel's number, as long as its value.
  template <class A>
  using Number = std::conditional_t<sizeof(A) == sizeof(std::int32_t), std::int32_t, std::int64_t>;

  template <class A>
  static void store_numbers(cpu::Lanes<Number<A>> numbers, std::int32_t* to) {
    if constexpr (sizeof(A) == sizeof(std::int32_t)) {
      cpu::store_lanes<std::int32_t>(numbers, to);
    } else {
      for (int lane = 0; lane < cpu::lane_count<A>; ++lane)
        to[lane] = static_cast<std::int32_t>(numbers[lane]);
    }
  }
};

template <>
struct kernel<ops::AveragePool, Cpu> {
  // Windows are summed up in double.
  template <class T>
  static void forward(Rows<const T> x, const Windows& windows, Rows<T> y) {
    using A = acc_t<T>;
    const Size2d count = windows.count();
    const double share = share_of<double>(windows);
    cpu::parallel_for(x.rows, cpu::rows_for_thread(x.cols), [&](std::int64_t begin, std::int64_t end) {
      const cpu::Wide<T> input(x.cols), output(y.cols);
      const cpu::PooledImage<A> image(windows, A(0));
      const std::int64_t columns = image.columns();
      const cpu::Scratch<double> sums(columns);
      for (std::int64_t i = begin; i < end; ++i) {
        image.read(input.read(x.row(i), x.cols));
        A* to = output.target(y.row(i));
        for (std::int64_t line = 0; line < count.height; ++line, to += count.width) {
          std::fill_n(sums.data(), columns, 0.0);
          image.for_each_place(line, [&](const A* place, std::int64_t) {
            cpu::map_block(columns, ops::Identity{}, sums.data(), sums.data(), place);
          });
          cpu::map_block<A>(
              count.width, [share](double sum) { return static_cast<A>(share * sum); },
              static_cast<const A*>(nullptr), to, sums.data());
        }
        output.write(y.row(i), y.cols);
      }
    });
  }

  template <class T>
  static void backward(Rows<const T> dy, const Windows& windows, Gradient<Rows<T>> dx) {
    using A = acc_t<T>;
    const Size2d count = windows.count();
    const A share = share_of<A>(windows);
    cpu::parallel_for(dx.rows, cpu::rows_for_thread(dx.cols), [&](std::int64_t begin, std::int64_t end) {
      const cpu::Wide<T> gradient(dy.cols), sums(dx.cols);
      const cpu::PooledImage<A> image(windows, A(0));
      for (std::int64_t i = begin; i < end; ++i) {
        const A* from = gradient.read(dy.row(i), dy.cols);
        image.fill(A(0));
        for (std::int64_t line = 0; line < count.height; ++line, from += count.width) {
          image.for_each_place(line, [&](A* place, std::int64_t) {
            cpu::map_block(
                count.width, [share](A d) { return share * d; }, place, place, from);
          });
        }
        image.add_to(cpu::begin_sums(sums, dx, i));
        sums.write(dx.row(i), dx.cols);
      }
    });
  }

 private:
  template <class A>
  static A share_of(const Windows& windows) {
    return A(1) / static_cast<A>(windows.kernel.height * windows.kernel.width);
  }
};

}  // namespace cria
