#pragma once
/// Loops over elements: functors get and give acc_t, and 16 bytes move at a time where the arrays' places
/// allow.

#include "cria/backend/cuda/cuda.hpp"
#include "cria/backend/cuda/launch.hpp"
#include "cria/backend/cuda/pack.cuh"

namespace cria::cuda {

namespace detail {

template <int Size, class T, class F, class... X>
__device__ __forceinline__ void map_pack(bool accumulate, T* y, F f, const Pack<X, Size>&... x) {
  Pack<T, Size> result;
  if (accumulate) result = load<Size>(y);
#pragma unroll
  for (int i = 0; i < Size; ++i) {
    result.at[i] = summed(result.at[i], !accumulate, f(wide(x.at[i])...));
  }
  store(y, result);
}

template <int Size, class T, class F, class... X>
__global__ void __launch_bounds__(block_size, shared_by_blocks<T>)
    map_kernel(std::int64_t size, bool accumulate, T* y, F f, const X*... x) {
  const std::int64_t packs = size / Size;
  for (std::int64_t p = first_item(); p < packs; p += item_stride()) {
    map_pack<Size>(accumulate, y + p * Size, f, load<Size>(x + p * Size)...);
  }
  if constexpr (Size > 1) {
    const std::int64_t i = packs * Size + first_item();
    if (i < size) map_pack<1>(accumulate, y + i, f, load<1>(x + i)...);
  }
}

}  // namespace detail

/// y[i] = f(x[i]...), or y[i] += f(x[i]...) if `accumulate`, in packs of Size elements, which must fit.
template <int Size, class T, class F, class... X>
void map_packs(std::int64_t size, bool accumulate, T* y, F f, Place place, const X*... x) {
  launch(detail::map_kernel<Size, T, F, X...>, Grid(grid_for((size + Size - 1) / Size), place), block_size, 0,
         size, accumulate, y, f, x...);
}

/// The same in the widest packs that fit.
template <class T, class F, class... X>
void map(std::int64_t size, bool accumulate, T* y, F f, Place place, const X*... x) {
  constexpr int width = widest<T, X...>;
  if (packs_fit<width>(y, x...)) {
    map_packs<width>(size, accumulate, y, f, place, x...);
  } else {
    map_packs<1>(size, accumulate, y, f, place, x...);
  }
}

/// y[i] = f(x[i]...) for all elements.
template <class T, class F, class... X>
void map(Vec<T> y, F f, Vec<const X>... x) {
  map(y.size, false, y.data, f, Place(), x.data...);
}

/// sum[i] += f(x[i]...) for all elements, or sum[i] = f(x[i]...) if `sum` is fresh; nothing if it is not
/// wanted.
template <class T, class F, class... X>
void map_add(Gradient<Vec<T>> sum, F f, Vec<const X>... x) {
  if (sum) map(sum.size, !sum.fresh, sum.data, f, Place(), x.data...);
}

/// x as an A.
template <class A>
struct Convert {
  template <class X>
  __device__ A operator()(X x) const {
    return static_cast<A>(x);
  }
};

/// factor[0] * x, the factor being in device memory.
template <class A>
struct Scaled {
  const A* factor;
  __device__ A operator()(A x) const { return *factor * x; }
};

}  // namespace cria::cuda
