#pragma once
/// CPU kernel of the operations that rearrange elements.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cria/backend/cpu/map.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/rearrangement.hpp"

namespace cria {

namespace cpu {

/// Elements of a side of the squares in which a copy goes that has neighbours along different dimensions on
/// its two sides: rows of a square are whole cache lines on both.
inline constexpr std::int64_t square_side = 32;

/// Elements of a line that are copied at a time, so that a long one can be shared by threads.
inline constexpr std::int64_t longest_line = 16384;

/// The loop over a copy: lines along its last dimension, or squares where another dimension holds the
/// neighbours of the side that is read.
class CopyLoop {
 public:
  explicit CopyLoop(const StridedCopy& copy) : copy_(copy) {
    if (copy.rank == 0) {  // one element
      copy_.rank = 1;
      copy_.dims[0] = copy_.from[0] = copy_.to[0] = 1;
    }
    last_ = copy_.rank - 1;
    across_ = last_;
    for (int axis = 0; axis < last_; ++axis) {
      if (copy_.from[axis] == 1 && copy_.from[last_] != 1 && copy_.to[last_] == 1) across_ = axis;
    }
  }

  /// Calls put.line(count, from, from_stride, to, to_stride) for elements that follow each other by strides,
  /// or put.square(rows, columns, from, column_of_from, to, row_of_to): [row, column] lies at from + row +
  /// column * column_of_from and goes to to + row * row_of_to + column.
  template <class F>
  void run(F put) const {
    const bool in_squares = across_ != last_;
    const std::int64_t columns = copy_.dims[last_], rows = in_squares ? copy_.dims[across_] : 1;
    const std::int64_t width = in_squares ? square_side : longest_line, height = in_squares ? square_side : 1;
    const std::int64_t across = (rows + height - 1) / height, along = (columns + width - 1) / width;
    std::int64_t pieces = across * along;
    for (int axis = 0; axis < last_; ++axis) {
      if (axis != across_) pieces *= copy_.dims[axis];
    }
    const std::int64_t each = std::min(columns, width) * std::min(rows, height);
    parallel_for(pieces, elementwise_grain / (each + 1) + 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t piece = begin; piece < end; ++piece) {
        const std::int64_t column = piece % along * width, row = piece / along % across * height;
        std::int64_t index = piece / along / across, from = copy_.from_first, to = copy_.to_first;
        for (int axis = last_ - 1; axis >= 0; --axis) {
          if (axis == across_) continue;
          from += index % copy_.dims[axis] * copy_.from[axis];
          to += index % copy_.dims[axis] * copy_.to[axis];
          index /= copy_.dims[axis];
        }
        from += column * copy_.from[last_];
        to += column * copy_.to[last_];
        const std::int64_t count = std::min(width, columns - column);
        if (in_squares) {
          put.square(std::min(height, rows - row), count, from + row, copy_.from[last_],
                     to + row * copy_.to[across_], copy_.to[across_]);
        } else {
          put.line(count, from, copy_.from[last_], to, copy_.to[last_]);
        }
      }
    });
  }

 private:
  StridedCopy copy_;
  int last_, across_;
};

/// Elements of so many bytes are copied.
template <int Size>
struct CopyElements {
  const std::byte* from;
  std::byte* to;

  void line(std::int64_t count, std::int64_t first_from, std::int64_t from_stride, std::int64_t first_to,
            std::int64_t to_stride) const {
    const std::byte* source = from + first_from * Size;
    std::byte* target = to + first_to * Size;
    if (from_stride == 1 && to_stride == 1) {
      std::memcpy(target, source, static_cast<std::size_t>(count) * Size);
      return;
    }
    for (std::int64_t i = 0; i < count; ++i) {
      std::memcpy(target + i * to_stride * Size, source + i * from_stride * Size, Size);
    }
  }
  /// Read and written along the neighbours of each side.
  void square(std::int64_t rows, std::int64_t columns, std::int64_t first_from, std::int64_t column_of_from,
              std::int64_t first_to, std::int64_t row_of_to) const {
    std::byte read[square_side * square_side * Size];  // [column, row]
    for (std::int64_t column = 0; column < columns; ++column) {
      std::memcpy(read + column * square_side * Size, from + (first_from + column * column_of_from) * Size,
                  static_cast<std::size_t>(rows) * Size);
    }
    for (std::int64_t row = 0; row < rows; ++row) {
      std::byte* target = to + (first_to + row * row_of_to) * Size;
      for (std::int64_t column = 0; column < columns; ++column) {
        std::memcpy(target + column * Size, read + (column * square_side + row) * Size, Size);
      }
    }
  }
};

/// Elements are added.
template <class T>
struct AddElements {
  const T* from;
  T* to;

  void line(std::int64_t count, std::int64_t first_from, std::int64_t from_stride, std::int64_t first_to,
            std::int64_t to_stride) const {
    using A = acc_t<T>;
    const T* source = from + first_from;
    T* target = to + first_to;
    for (std::int64_t i = 0; i < count; ++i) {
      T& sum = target[i * to_stride];
      sum = static_cast<T>(static_cast<A>(sum) + static_cast<A>(source[i * from_stride]));
    }
  }
  void square(std::int64_t rows, std::int64_t columns, std::int64_t first_from, std::int64_t column_of_from,
              std::int64_t first_to, std::int64_t row_of_to) const {
    for (std::int64_t row = 0; row < rows; ++row) {
      line(columns, first_from + row, column_of_from, first_to + row * row_of_to, 1);
    }
  }
};

}  // namespace cpu

template <>
struct kernel<ops::Rearrange, Cpu> {
  template <int Size>
  static void copy(const StridedCopy& copy, const void* from, void* to) {
    cpu::CopyLoop(copy).run(
        cpu::CopyElements<Size>{static_cast<const std::byte*>(from), static_cast<std::byte*>(to)});
  }

  template <class T>
  static void add(const StridedCopy& copy, const T* from, T* to) {
    cpu::CopyLoop(copy).run(cpu::AddElements<T>{from, to});
  }
};

}  // namespace cria
