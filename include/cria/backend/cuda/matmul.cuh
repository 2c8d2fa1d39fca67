#pragma once

#include "cria/backend/cuda/blas.hpp"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::MatMul, Cuda> {
  template <class T>
  static void forward(Planes<const T> a, Planes<const T> b, Planes<T> y) {
    cuda::batched_gemm(a, false, b, false, Gradient<Planes<T>>{y, true});
  }

  template <class T>
  static void backward(Planes<const T> dy, Planes<const T> a, Planes<const T> b, Gradient<Planes<T>> da,
                       Gradient<Planes<T>> db) {
    if (da) cuda::batched_gemm(dy, false, b, true, da);
    if (db) cuda::batched_gemm(a, true, dy, false, db);
  }
};

}  // namespace cria
