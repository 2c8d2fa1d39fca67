#pragma once

#include <string>

#include "cria/backend/cpu/gemm.hpp"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::Linear, Cpu> {
  template <class T>
  static std::string library() {
    return cpu::gemm_library<T>();
  }

  template <class T>
  static void forward(Rows<const T> x, Rows<const T> weight, Vec<const T> bias, Rows<T> y) {
    cpu::gemm(plain(x), transposed(weight), cpu::each_row(bias), y);
  }

  template <class T, class A>
  static void backward(Rows<const T> dy, Rows<const T> x, Rows<const T> weight, Gradient<Rows<T>> dx,
                       Gradient<Rows<A>> dweight) {
    if (dx) cpu::gemm(plain(dy), plain(weight), !dx.fresh, Rows<T>(dx));
    if (dweight) cpu::gemm_over_rows(dy, x, !dweight.fresh, Rows<A>(dweight));
  }
};

}  // namespace cria
