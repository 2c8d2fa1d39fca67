#pragma once
/// CUDA kernel of reductions: sums, maxima and their kind over any dimensions.

#include <type_traits>

#include "cria/backend/cuda/elementwise.cuh"
#include "cria/backend/cuda/fold.cuh"
#include "cria/core/operations.hpp"

namespace cria {

namespace cuda {

/// The formula's value at element i of a loop whose input 0 is the result.
template <class A, class F, class... X>
struct FormulaOf {
  F f;
  Broadcast loop;
  const void* x[sizeof...(X)];

  __device__ A operator()(std::int64_t i) const {
    return at(std::make_integer_sequence<int, static_cast<int>(sizeof...(X))>(), i);
  }

 private:
  template <int... K>
  __device__ __forceinline__ A at(std::integer_sequence<int, K...>, std::int64_t i) const {
    return static_cast<A>(
        formula::value<A>(f(formula::number(static_cast<const X*>(x[K])[loop.offset(1 + K, i)])...)));
  }
};

}  // namespace cuda

template <>
struct kernel<ops::Reduce, Cuda> {
  template <class R, class F, class Y, class... X>
  static void forward(R, F f, const Broadcast& loop, Vec<Y> y, Vec<const X>... x) {
    using A = reduction_t<Y>;
    const cuda::FormulaOf<A, F, X...> element{f, loop, {x.data...}};
    if constexpr (std::is_same_v<A, Y>) {
      cuda::fold<R>(loop, 0, element, y.data);
    } else {
      const cuda::Scratch<A> folded(y.size);
      cuda::fold<R>(loop, 0, element, folded.data());
      cuda::map(y, cuda::Convert<A>(), Vec<const A>(folded.vec()));
    }
  }
};

}  // namespace cria
