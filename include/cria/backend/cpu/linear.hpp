#pragma once

#include "cria/backend/cpu/gemm.hpp"
#include "cria/ops/linear.hpp"

namespace cria {

template <>
struct kernel<ops::Linear, Cpu> {
  template <class T>
  static void forward(Rows<const T> x, Rows<const T> weight, Rows<T> y) {
    cpu::gemm(cpu::Op::plain, x, cpu::Op::transposed, weight, false, y);
  }

  template <class T, class A>
  static void backward(Rows<const T> dy, Rows<const T> x, Rows<const T> weight, Rows<T> dx, Rows<A> dweight) {
    if (dx) cpu::gemm(cpu::Op::plain, dy, cpu::Op::plain, weight, true, dx);
    if (dweight) cpu::gemm(cpu::Op::transposed, dy, cpu::Op::plain, x, true, dweight);
  }
};

}  // namespace cria
