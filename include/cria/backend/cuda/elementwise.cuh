#pragma once
/// CUDA kernels of the operations on each element alone.

#include <algorithm>
#include <string_view>
#include <tuple>
#include <utility>

#include "cria/backend/cuda/fold.cuh"
#include "cria/backend/cuda/map.cuh"
#include "cria/core/broadcast.hpp"
#include "cria/core/formula.hpp"
#include "cria/core/formulas.hpp"
#include "cria/core/operations.hpp"

namespace cria {

namespace cuda {

/// Whether F is a lambda, of which nvcc makes no kernel: one that is marked for the device has no type that
/// the host could know.
template <class F>
constexpr bool is_lambda() {
  return std::string_view(__PRETTY_FUNCTION__).find("lambda [") != std::string_view::npos;  // as nvcc says it
}

/// f of elements, without derivatives.
template <class Y, class F>
struct Value {
  F f;
  template <class... X>
  __device__ acc_t<Y> operator()(X... x) const {
    return formula::value<Y>(f(formula::number(x)...));
  }
};

template <class Y, class F, class... X, int... K>
__device__ __forceinline__ Y value_at(std::integer_sequence<int, K...>, const F& f, const Broadcast& loop,
                                      std::int64_t i, const X*... x) {
  return static_cast<Y>(formula::value<Y>(f(formula::number(x[loop.offset(K, i)])...)));
}

/// y[i] = f(x...), element by element: where inputs are repeated, or lie where packs do not fit.
template <class F, class Y, class... X>
__global__ void __launch_bounds__(block_size, shared_by_blocks<acc_t<Y>>)
    map_each_kernel(F f, Broadcast loop, Y* y, const X*... x) {
  constexpr std::make_integer_sequence<int, static_cast<int>(sizeof...(X))> all{};
  for (std::int64_t i = first_item(); i < loop.size; i += item_stride())
    y[i] = value_at<Y>(all, f, loop, i, x...);
}

/// The inputs of a formula and where their gradients go; a kernel knows the types.
template <int N>
struct MapArguments {
  const void* x[N];
  void* dx[N];  // null: not wanted
  bool fresh[N];
};

/// of_input[K][i] = dy[i] * d f(x[i]...) / d x[K][i]
template <int Size, class F, class T, int... K, class... X>
__device__ __forceinline__ void derivatives(std::integer_sequence<int, K...>, const F& f,
                                            const Pack<T, Size>& dy, acc_t<T> (&of_input)[sizeof...(K)][Size],
                                            const Pack<X, Size>&... x) {
#pragma unroll
  for (int i = 0; i < Size; ++i) {
    const auto y = formula::differentiate(f, x.at[i]...);
    ((of_input[K][i] = wide(dy.at[i]) * formula::derivative<K, acc_t<T>>(y)), ...);
  }
}

template <class X, int Size, class A>
__device__ __forceinline__ void add_pack(void* dx, bool fresh, std::int64_t i, const A (&added)[Size]) {
  if constexpr (FloatingPoint<X>) {
    if (!dx) return;
    X* to = static_cast<X*>(dx) + i;
    Pack<X, Size> sum;
    if (!fresh) sum = load<Size>(to);
#pragma unroll
    for (int k = 0; k < Size; ++k) sum.at[k] = summed(sum.at[k], fresh, added[k]);
    store(to, sum);
  }
}

/// A loop over packs of elements, no input being repeated.
struct WholeLoop {
  std::int64_t size;
  __device__ std::int64_t offset(int, std::int64_t i) const { return i; }
};

/// Adds to the gradients that are wanted, in the order of the inputs, as two may be the same memory.
template <int Size, class F, class T, class... X, class Loop, int... K>
__device__ __forceinline__ void map_backward_pack(std::integer_sequence<int, K...> all, const F& f,
                                                  const Loop& loop, const MapArguments<sizeof...(K)>& inputs,
                                                  const T* dy, std::int64_t i) {
  acc_t<T> of_input[sizeof...(K)][Size];
  derivatives<Size>(all, f, load<Size>(dy + i), of_input,
                    load<Size>(static_cast<const X*>(inputs.x[K]) + loop.offset(K, i))...);
  (add_pack<X>(inputs.dx[K], inputs.fresh[K], i, of_input[K]), ...);
}

/// The gradients of inputs that are not repeated, in one pass: by packs in a WholeLoop, element by element in
/// a Broadcast.
template <int Size, class Loop, class F, class T, class... X>
__global__ void __launch_bounds__(block_size, sharing_blocks)
    map_backward_kernel(F f, Loop loop, MapArguments<sizeof...(X)> inputs, const T* dy) {
  constexpr std::make_integer_sequence<int, static_cast<int>(sizeof...(X))> all{};
  const std::int64_t packs = loop.size / Size;
  for (std::int64_t p = first_item(); p < packs; p += item_stride()) {
    map_backward_pack<Size, F, T, X...>(all, f, loop, inputs, dy, p * Size);
  }
  if constexpr (Size > 1) {
    const std::int64_t i = packs * Size + first_item();
    if (i < loop.size) map_backward_pack<1, F, T, X...>(all, f, loop, inputs, dy, i);
  }
}

/// The derivative for input K of element i of the result, times dy[i].
template <int K, class F, class T, class... X>
struct DerivativeOf {
  F f;
  Broadcast loop;
  MapArguments<sizeof...(X)> inputs;
  const T* dy;

  __device__ acc_t<T> operator()(std::int64_t i) const {
    return at(std::make_integer_sequence<int, static_cast<int>(sizeof...(X))>(), i);
  }

 private:
  template <int... All>
  __device__ __forceinline__ acc_t<T> at(std::integer_sequence<int, All...>, std::int64_t i) const {
    return wide(dy[i]) * formula::derivative<K, acc_t<T>>(formula::differentiate(
                             f, static_cast<const X*>(inputs.x[All])[loop.offset(All, i)]...));
  }
};

/// Adds to the gradient of input K, which is repeated.
template <int K, class F, class T, class X, class... All>
void add_sums(F f, const Broadcast& loop, const MapArguments<sizeof...(All)>& inputs, const T* dy,
              const Gradient<Vec<X>>& dx) {
  using A = acc_t<T>;
  const Scratch<A> sums(dx.size);
  fold<ops::Total>(loop, K, DerivativeOf<K, F, T, All...>{f, loop, inputs, dy}, sums.data());
  map_add(dx, Convert<A>(), Vec<const A>(sums.vec()));
}

}  // namespace cuda

template <>
struct kernel<ops::Map, Cuda> {
  template <class F, class Y, class... X>
  static void forward(F f, const Broadcast& loop, Vec<Y> y, Vec<const X>... x) {
    static_assert(!cuda::is_lambda<F>(),
                  "nvcc makes no kernel of a lambda: state the formula by CRIA_FORMULA, or as a struct whose "
                  "templated call operator is CRIA_HOST_DEVICE");
    constexpr int width = cuda::widest<Y, X...>;
    if (loop.all_whole() && cuda::packs_fit<width>(y.data, x.data...)) {
      cuda::map_packs<width>(loop.size, false, y.data, cuda::Value<Y, F>{f}, cuda::Place(), x.data...);
    } else {
      cuda::launch(cuda::map_each_kernel<F, Y, X...>, cuda::grid_for(loop.size), cuda::block_size, 0, f, loop,
                   y.data, x.data...);
    }
  }

  template <class F, class T, class... X>
  static void backward(F f, const Broadcast& loop, Vec<const T> dy, const std::tuple<Vec<const X>...>& x,
                       const std::tuple<Gradient<Vec<X>>...>& dx) {
    backward(std::make_integer_sequence<int, static_cast<int>(sizeof...(X))>(), f, loop, dy, x, dx);
  }

 private:
  template <int... K, class F, class T, class... X>
  static void backward(std::integer_sequence<int, K...>, F f, const Broadcast& loop, Vec<const T> dy,
                       const std::tuple<Vec<const X>...>& x, const std::tuple<Gradient<Vec<X>>...>& dx) {
    const cuda::MapArguments<sizeof...(X)> inputs{{std::get<K>(x).data...},
                                                  {(loop.is_whole[K] ? std::get<K>(dx).data : nullptr)...},
                                                  {std::get<K>(dx).fresh...}};
    // Not two doubles: some formulas' derivatives would spill registers.
    constexpr int width = sizeof(T) == sizeof(double) ? 1 : cuda::widest<T, X...>;
    if (loop.all_whole() &&
        cuda::packs_fit<width>(dy.data, std::get<K>(x).data..., std::get<K>(dx).data...)) {
      cuda::launch(cuda::map_backward_kernel<width, cuda::WholeLoop, F, T, X...>,
                   cuda::grid_for((loop.size + width - 1) / width), cuda::block_size, 0, f,
                   cuda::WholeLoop{loop.size}, inputs, dy.data);
      return;
    }
    if (((inputs.dx[K] != nullptr) || ...)) {
      cuda::launch(cuda::map_backward_kernel<1, Broadcast, F, T, X...>, cuda::grid_for(loop.size),
                   cuda::block_size, 0, f, loop, inputs, dy.data);
    }
    (add_sums<K, F, T, X, X...>(f, loop, inputs, dy.data, std::get<K>(dx)), ...);
  }

  template <int K, class F, class T, class X, class... All>
  static void add_sums(F f, const Broadcast& loop, const cuda::MapArguments<sizeof...(All)>& inputs,
                       const T* dy, const Gradient<Vec<X>>& dx) {
    // An only input is repeated where it is expanded.
    constexpr bool may_repeat = sizeof...(All) > 1 || std::is_same_v<F, ops::Identity>;
    if constexpr (FloatingPoint<X> && may_repeat) {
      if (dx && !loop.is_whole[K]) cuda::add_sums<K, F, T, X, All...>(f, loop, inputs, dy, dx);
    }
  }
};

}  // namespace cria
