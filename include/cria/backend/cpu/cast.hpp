#pragma once

#include "cria/backend/cpu/convert.hpp"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::Cast, Cpu> {
  template <class From, class To>
  static void forward(Vec<const From> x, Vec<To> y) {
    cpu::convert(x, y);
  }
};

}  // namespace cria
