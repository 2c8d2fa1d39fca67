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

/// Elements of a side of the squares in which a copy goes that has neighbours along different dimensions on its
/// two sides: rows of a square are whole cache lines on both.
inline constexpr std::int64_t square_side = 32;

/// The loop over a copy: lines along its last dimension, or strips of squares where another dimension holds the
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
      if (copy_.from[axis] == 1 && copy_.from[last_] != 1) across_ = axis;
    }
  }

  /// Calls put.line(count, from, from_stride, to, to_stride) for elements that follow each other by strides.
  template <class F>
  void run(F put) const {
    const std::int64_t columns = copy_.dims[last_];
    const std::int64_t strips = across_ == last_ ? 1 : (copy_.dims[across_] + square_side - 1) / square_side;
    std::int64_t lines = strips;
    for (int axis = 0; axis < last_; ++axis) {
      if (axis != across_) lines *= copy_.dims[axis];
    }
    const std::int64_t each = columns * (across_ == last_ ? 1 : square_side);
    parallel_for(lines, elementwise_grain / (each + 1) + 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t line = begin; line < end; ++line) {
        std::int64_t index = line / strips, from = copy_.from_first, to = copy_.to_first;
        for (int axis = last_ - 1; axis >= 0; --axis) {
          if (axis == across_) continue;
          from += index % copy_.dims[axis] * copy_.from[axis];
          to += index % copy_.dims[axis] * copy_.to[axis];
          index /= copy_.dims[axis];
        }
        if (across_ == last_) {
          put.line(columns, from, copy_.from[last_], to, copy_.to[last_]);
        } else {
          run_strip(line % strips * square_side, from, to, put);
        }
      }
    });
  }

 private:
  template <class F>
  void run_strip(std::int64_t first, std::int64_t from, std::int64_t to, F put) const {
    const std::int64_t rows = std::min(square_side, copy_.dims[across_] - first);
    from += first * copy_.from[across_];
    to += first * copy_.to[across_];
    for (std::int64_t column = 0; column < copy_.dims[last_]; column += square_side) {
      const std::int64_t columns = std::min(square_side, copy_.dims[last_] - column);
      for (std::int64_t row = 0; row < rows; ++row) {
        put.line(columns, from + row * copy_.from[across_] + column * copy_.from[last_], copy_.from[last_],
                 to + row * copy_.to[across_] + column * copy_.to[last_], copy_.to[last_]);
      }
    }
  }

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
