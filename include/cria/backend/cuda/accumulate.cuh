#pragma once

#include "cria/backend/cuda/map.cuh"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::Accumulate, Cuda> {
  template <class T, class U>
  static void add(Vec<const U> x, Gradient<Vec<T>> sum) {
    cuda::map_add(sum, cuda::Convert<acc_t<T>>(), x);
  }
};

}  // namespace cria
