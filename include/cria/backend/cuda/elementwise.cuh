#pragma once
/// CUDA kernels of the element-by-element operations.

#include "cria/backend/cuda/map.cuh"
#include "cria/core/formulas.hpp"
#include "cria/core/operations.hpp"

namespace cria {

namespace cuda {

template <class F>
struct Value {
  F f;
  template <class... A>
  __device__ auto operator()(A... x) const {
    return f.f(x...);
  }
};
template <class F>
struct Derivative {
  F f;
  template <class A>
  __device__ A operator()(A dy, A x) const {
    return dy * f.df(x);
  }
};

/// da = dy * df.a and db = dy * df.b in one pass. An element of da is written before that of db is read, as
/// they may be the same memory.
template <int Size, class T, class F>
__device__ __forceinline__ void binary_backward_pack(F f, const T* dy, const T* a, const T* b,
                                                     const Gradient<Vec<T>>& da, const Gradient<Vec<T>>& db,
                                                     std::int64_t i) {
  using A = acc_t<T>;
  const auto d = load<Size>(dy + i), left = load<Size>(a + i), right = load<Size>(b + i);
  ops::Pair<A> added[Size];
#pragma unroll
  for (int k = 0; k < Size; ++k) {
    added[k] = f.df(wide(left.at[k]), wide(right.at[k]));
    added[k].a *= wide(d.at[k]);
    added[k].b *= wide(d.at[k]);
  }
  const auto add = [&](const Gradient<Vec<T>>& gradient, A ops::Pair<A>::*part) {
    if (!gradient) return;
    Pack<T, Size> sum;
    if (!gradient.fresh) sum = load<Size>(gradient.data + i);
#pragma unroll
    for (int k = 0; k < Size; ++k) sum.at[k] = summed(sum.at[k], gradient.fresh, added[k].*part);
    store(gradient.data + i, sum);
  };
  add(da, &ops::Pair<A>::a);
  add(db, &ops::Pair<A>::b);
}

template <int Size, class T, class F>
__global__ void __launch_bounds__(block_size, shared_by_blocks<T>)
    binary_backward_kernel(F f, Vec<const T> dy, const T* a, const T* b, Gradient<Vec<T>> da,
                           Gradient<Vec<T>> db) {
  const std::int64_t packs = dy.size / Size;
  for (std::int64_t p = first_item(); p < packs; p += item_stride()) {
    binary_backward_pack<Size>(f, dy.data, a, b, da, db, p * Size);
  }
  if constexpr (Size > 1) {
    const std::int64_t i = packs * Size + first_item();
    if (i < dy.size) binary_backward_pack<1>(f, dy.data, a, b, da, db, i);
  }
}

}  // namespace cuda

template <>
struct kernel<ops::Unary, Cuda> {
  template <class F, class T>
  static void forward(F f, Vec<const T> x, Vec<T> y) {
    cuda::map(y, cuda::Value<F>{f}, x);
  }

  template <class F, class T>
  static void backward(F f, Vec<const T> dy, Vec<const T> x, Gradient<Vec<T>> dx) {
    cuda::map_add(dx, cuda::Derivative<F>{f}, dy, x);
  }
};

template <>
struct kernel<ops::Binary, Cuda> {
  template <class F, class T>
  static void forward(F f, Vec<const T> a, Vec<const T> b, Vec<T> y) {
    cuda::map(y, cuda::Value<F>{f}, a, b);
  }

  template <class F, class T>
  static void backward(F f, Vec<const T> dy, Vec<const T> a, Vec<const T> b, Gradient<Vec<T>> da,
                       Gradient<Vec<T>> db) {
    if (!da && !db) return;
    constexpr int width = cuda::widest<T>;
    if (cuda::packs_fit<width>(dy.data, a.data, b.data, da.data, db.data)) {
      cuda::launch(cuda::binary_backward_kernel<width, T, F>, cuda::grid_for((dy.size + width - 1) / width),
                   cuda::block_size, 0, f, dy, a.data, b.data, da, db);
    } else {
      cuda::launch(cuda::binary_backward_kernel<1, T, F>, cuda::grid_for(dy.size), cuda::block_size, 0, f, dy,
                   a.data, b.data, da, db);
    }
  }
};

}  // namespace cria
