#pragma once

#include "cria/backend/cpu/map.hpp"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::Accumulate, Cpu> {
  template <class T, class U>
  static void add(Vec<const U> x, Gradient<Vec<T>> sum) {
    cpu::map_add(
        sum, [](acc_t<U> value) { return static_cast<acc_t<T>>(value); }, x);
  }
};

}  // namespace cria
