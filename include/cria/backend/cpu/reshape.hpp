#pragma once

#include "cria/backend/cpu/map.hpp"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::Transpose, Cpu> {
  template <class T>
  static void forward(Vec<const T> x, const Shape& from, Vec<T> y) {
    swap(x, from, y, [](T& to, T value) { to = value; });
  }

  template <class T>
  static void backward(Vec<const T> dy, const Shape& from, Gradient<Vec<T>> dx) {
    using A = acc_t<T>;
    if (!dx) return;
    if (dx.fresh) return forward(dy, from, Vec<T>(dx));
    swap(dy, from, Vec<T>(dx),
         [](T& to, T value) { to = static_cast<T>(static_cast<A>(to) + static_cast<A>(value)); });
  }

 private:
  /// Moves x [a, b, c, d, e] into y [a, d, c, b, e].
  template <class T, class F>
  static void swap(Vec<const T> x, const Shape& from, Vec<T> y, F put) {
    const std::int64_t b = from.dim(1), c = from.dim(2), d = from.dim(3), e = from.dim(4);
    cpu::parallel_for(from.dim(0) * d, cpu::elementwise_grain / (b * c * e + 1) + 1,
                      [=](std::int64_t begin, std::int64_t end) {
                        for (std::int64_t ad = begin; ad < end; ++ad) {
                          const std::int64_t ia = ad / d, id = ad % d;
                          for (std::int64_t ic = 0; ic < c; ++ic) {
                            for (std::int64_t ib = 0; ib < b; ++ib) {
                              const T* source = x.data + (((ia * b + ib) * c + ic) * d + id) * e;
                              T* target = y.data + (((ia * d + id) * c + ic) * b + ib) * e;
                              for (std::int64_t ie = 0; ie < e; ++ie) put(target[ie], source[ie]);
                            }
                          }
                        }
                      });
  }
};

}  // namespace cria
