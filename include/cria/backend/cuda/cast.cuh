#pragma once

#include "cria/backend/cuda/map.cuh"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::Cast, Cuda> {
  template <class From, class To>
  static void forward(Vec<const From> x, Vec<To> y) {
    cuda::map(y, cuda::Convert<acc_t<To>>(), x);
  }
};

}  // namespace cria
