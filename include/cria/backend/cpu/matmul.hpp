#pragma once

#include "cria/backend/cpu/gemm.hpp"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::MatMul, Cpu> {
  template <class T>
  static void forward(Planes<const T> a, Planes<const T> b, Planes<T> y) {
    for (std::int64_t i = 0; i < y.outer; ++i) {
      cpu::gemm(plain(a.plane(i)), plain(b.plane(i)), false, y.plane(i));
    }
  }

  template <class T>
  static void backward(Planes<const T> dy, Planes<const T> a, Planes<const T> b, Gradient<Planes<T>> da,
                       Gradient<Planes<T>> db) {
    for (std::int64_t i = 0; i < dy.outer; ++i) {
      if (da) cpu::gemm(plain(dy.plane(i)), transposed(b.plane(i)), !da.fresh, da.plane(i));
      if (db) cpu::gemm_over_rows(a.plane(i), dy.plane(i), !db.fresh, db.plane(i));
    }
  }
};

}  // namespace cria
