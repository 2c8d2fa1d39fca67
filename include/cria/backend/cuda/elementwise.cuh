#pragma once
/// CUDA kernels of the operations on each element alone.

#include <algorithm>
#include <tuple>
#include <utility>

#include "cria/backend/cuda/map.cuh"
#include "cria/backend/cuda/sum.cuh"
#include "cria/core/broadcast.hpp"
#include "cria/core/formula.hpp"
#include "cria/core/operations.hpp"

namespace cria {

namespace cuda {

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
__device__ __forceinline__ Y value_at(std::integer_sequence<int, K...>, const F& f,
                                      const Broadcast<sizeof...(X)>& loop, std::int64_t i, const X*... x) {
  return static_cast<Y>(formula::value<Y>(f(formula::number(x[loop.offset(K, i)])...)));
}

/// y[i] = f(x...), where inputs are repeated.
template <class F, class Y, class... X>
__global__ void __launch_bounds__(block_size, shared_by_blocks<acc_t<Y>>)
    map_broadcast_kernel(F f, Broadcast<sizeof...(X)> loop, Y* y, const X*... x) {
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

/// How many blocks of these kernels are to share a multiprocessor: told nothing, ptxas spills registers
/// around divisions to have room for more.
inline constexpr int sharing_blocks = 4;

/// The loop over elements where no input is repeated; elsewhere it is a Broadcast.
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

/// The gradients of inputs that are not repeated, in one pass. Packs of more than one element need a
/// WholeLoop.
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

/// A loop's dimensions along which one input moves, or along which it is repeated.
struct Axes {
  int rank = 0;
  std::int64_t size = 1;
  std::int64_t dims[Shape::max_rank];
  std::int64_t strides[Shape::max_rank];  // of the result

  void add(std::int64_t dim, std::int64_t stride) {
    dims[rank] = dim;
    strides[rank++] = stride;
    size *= dim;
  }
  /// The first element of the result that has number `index` along these dimensions.
  __device__ std::int64_t at(std::int64_t index) const {
    std::int64_t offset = 0;
    for (int axis = 0; axis < Shape::max_rank; ++axis) {
      if (axis >= rank) break;
      offset += index % dims[axis] * strides[axis];
      index /= dims[axis];
    }
    return offset;
  }
};

/// The derivative for input K of element i of the result, times dy[i].
template <int K, class F, class T, class... X, int... All>
__device__ __forceinline__ acc_t<T> derivative_at(std::integer_sequence<int, All...>, const F& f,
                                                  const Broadcast<sizeof...(X)>& loop,
                                                  const MapArguments<sizeof...(X)>& inputs, const T* dy,
                                                  std::int64_t i) {
  return wide(dy[i]) * formula::derivative<K, acc_t<T>>(formula::differentiate(
                           f, static_cast<const X*>(inputs.x[All])[loop.offset(All, i)]...));
}

/// sums[part, j] = what element j of input K gets from a part of the elements that repeat it. A thread sums
/// up for an element of its own if neighbours of the result are neighbours of the input, otherwise a block
/// does.
template <int K, bool Neighbours, class F, class T, class... X>
__global__ void __launch_bounds__(block_size, sharing_blocks)
    map_sum_kernel(F f, Broadcast<sizeof...(X)> loop, MapArguments<sizeof...(X)> inputs, const T* dy,
                   Axes kept, Axes repeated, std::int64_t part, acc_t<T>* sums) {
  constexpr std::make_integer_sequence<int, static_cast<int>(sizeof...(X))> all{};
  const std::int64_t first = blockIdx.y * part, end = std::min(repeated.size, first + part);
  const std::int64_t j = Neighbours ? first_item() : blockIdx.x;
  LongSum<acc_t<T>> sum;
  if (j < kept.size) {
    const std::int64_t begin = kept.at(j);
    for (std::int64_t r = first + (Neighbours ? 0 : threadIdx.x); r < end; r += Neighbours ? 1 : blockDim.x) {
      sum += derivative_at<K, F, T, X...>(all, f, loop, inputs, dy, begin + repeated.at(r));
    }
  }
  if constexpr (Neighbours) {
    if (j < kept.size) sums[blockIdx.y * kept.size + j] = sum.value();
  } else {
    const acc_t<T> total = block_sum(sum.value());
    if (threadIdx.x == 0) sums[blockIdx.y * kept.size + j] = total;
  }
}

/// Adds to the gradient of input K, which is repeated.
template <int K, class F, class T, class X, class... All>
void add_sums(F f, const Broadcast<sizeof...(All)>& loop, const MapArguments<sizeof...(All)>& inputs,
              const T* dy, const Gradient<Vec<X>>& dx) {
  using A = acc_t<T>;
  Axes kept, repeated;
  std::int64_t stride = 1;
  for (int axis = loop.rank - 1; axis >= 0; --axis) {
    (loop.strides[K][axis] == 0 ? repeated : kept).add(loop.dims[axis], stride);
    stride *= loop.dims[axis];
  }
  const bool neighbours = loop.moves(K);
  const std::int64_t wanted = neighbours ? 256 : 8192;  // of which a thread, or a block, takes the sum
  const std::int64_t parts = std::clamp<std::int64_t>((repeated.size + wanted - 1) / wanted, 1, 1024);
  const std::int64_t part = (repeated.size + parts - 1) / parts;
  const Scratch<A> sums(parts * kept.size);
  const auto blocks = neighbours ? (kept.size + block_size - 1) / block_size : kept.size;
  launch(neighbours ? map_sum_kernel<K, true, F, T, All...> : map_sum_kernel<K, false, F, T, All...>,
         dim3(Grid(blocks).blocks.x, static_cast<unsigned>(parts)), block_size, 0, f, loop, inputs, dy, kept,
         repeated, part, sums.data());
  if (parts == 1) {
    map_add(dx, Convert<A>(), Vec<const A>{sums.data(), kept.size});
  } else {
    const Scratch<A> total(kept.size);
    sum_middle(Planes<const A>{sums.data(), 1, parts, kept.size}, Gradient<Vec<A>>{total.vec(), true});
    map_add(dx, Convert<A>(), Vec<const A>{total.data(), kept.size});
  }
}

}  // namespace cuda

template <>
struct kernel<ops::Map, Cuda> {
  template <class F, int N, class Y, class... X>
  static void forward(F f, const Broadcast<N>& loop, Vec<Y> y, Vec<const X>... x) {
    if (loop.all_whole()) {
      cuda::map(y, cuda::Value<Y, F>{f}, x...);
    } else if constexpr (N > 1) {  // one input is always whole
      cuda::launch(cuda::map_broadcast_kernel<F, Y, X...>, cuda::grid_for(loop.size), cuda::block_size, 0, f,
                   loop, y.data, x.data...);
    }
  }

  template <class F, int N, class T, class... X>
  static void backward(F f, const Broadcast<N>& loop, Vec<const T> dy, const std::tuple<Vec<const X>...>& x,
                       const std::tuple<Gradient<Vec<X>>...>& dx) {
    backward(std::make_integer_sequence<int, N>(), f, loop, dy, x, dx);
  }

 private:
  template <int... K, class F, int N, class T, class... X>
  static void backward(std::integer_sequence<int, K...>, F f, const Broadcast<N>& loop, Vec<const T> dy,
                       const std::tuple<Vec<const X>...>& x, const std::tuple<Gradient<Vec<X>>...>& dx) {
    const cuda::MapArguments<N> inputs{{std::get<K>(x).data...},
                                       {(loop.is_whole[K] ? std::get<K>(dx).data : nullptr)...},
                                       {std::get<K>(dx).fresh...}};
    if (loop.all_whole()) {
      constexpr int width = cuda::widest<T, X...>;
      const bool packs = cuda::packs_fit<width>(dy.data, std::get<K>(x).data..., std::get<K>(dx).data...);
      cuda::launch(packs ? cuda::map_backward_kernel<width, cuda::WholeLoop, F, T, X...>
                         : cuda::map_backward_kernel<1, cuda::WholeLoop, F, T, X...>,
                   cuda::grid_for(packs ? (loop.size + width - 1) / width : loop.size), cuda::block_size, 0,
                   f, cuda::WholeLoop{loop.size}, inputs, dy.data);
    } else if constexpr (N > 1) {
      if (((inputs.dx[K] != nullptr) || ...)) {
        cuda::launch(cuda::map_backward_kernel<1, Broadcast<N>, F, T, X...>, cuda::grid_for(loop.size),
                     cuda::block_size, 0, f, loop, inputs, dy.data);
      }
      (add_sums<K, F, T, X, X...>(f, loop, inputs, dy.data, std::get<K>(dx)), ...);
    }
  }

  template <int K, class F, class T, class X, class... All>
  static void add_sums(F f, const Broadcast<sizeof...(All)>& loop,
                       const cuda::MapArguments<sizeof...(All)>& inputs, const T* dy,
                       const Gradient<Vec<X>>& dx) {
    if constexpr (FloatingPoint<X>) {
      if (dx && !loop.is_whole[K]) cuda::add_sums<K, F, T, X, All...>(f, loop, inputs, dy, dx);
    }
  }
};

}  // namespace cria
