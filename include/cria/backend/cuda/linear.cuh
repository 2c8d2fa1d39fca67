#pragma once

#include <string>

#include "cria/backend/cuda/blas.hpp"
#include "cria/backend/cuda/description.hpp"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::Linear, Cuda> {
  template <class T>
  static std::string library() {
    return cuda::description();
  }

  template <class T>
  static void forward(Rows<const T> x, Rows<const T> weight, Vec<const T> bias, Rows<T> y) {
    cuda::gemm(plain(x), transposed(weight), bias, y);
  }

  template <class T, class A>
  static void backward(Rows<const T> dy, Rows<const T> x, Rows<const T> weight, Gradient<Rows<T>> dx,
                       Gradient<Rows<A>> dweight) {
    if (dx) cuda::gemm(plain(dy), plain(weight), !dx.fresh, Rows<T>(dx));
    if (dweight) cuda::gemm_over_rows(dy, x, !dweight.fresh, Rows<A>(dweight));
  }
};

}  // namespace cria
