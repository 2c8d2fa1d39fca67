#pragma once

#include <span>

#include "cria/backend/cuda/pack.cuh"
#include "cria/backend/cuda/tensor_list.cuh"
#include "cria/core/adamw.hpp"
#include "cria/core/operations.hpp"

namespace cria {

namespace cuda {

/// One thread, as there is one sum for each type of parameters. (A template, since a kernel in a header must
/// be one.)
template <class State>
__global__ void begin_adamw_kernel(ops::AdamWStep s, Vec<const double> sums, State* state) {
  state->begin(s, sums);
}

template <int Size, class T, class A>
__device__ __forceinline__ void adamw_pack(const ops::AdamWFactors<A>& factors,
                                           const ops::AdamWTensor<T>& tensor, std::int64_t i) {
  A* exact;
  if constexpr (std::is_same_v<T, A>) {
    exact = tensor.value.data + i;
  } else {
    exact = tensor.master.data + i;
  }
  const auto gradient = load<Size>(tensor.gradient.data + i);
  auto value = load<Size>(exact), first = load<Size>(tensor.first.data + i),
       second = load<Size>(tensor.second.data + i);
#pragma unroll
  for (int k = 0; k < Size; ++k) factors.update(gradient.at[k], value.at[k], first.at[k], second.at[k]);
  store(tensor.first.data + i, first);
  store(tensor.second.data + i, second);
  store(exact, value);
  if constexpr (!std::is_same_v<T, A>) {
    Pack<T, Size> rounded;
#pragma unroll
    for (int k = 0; k < Size; ++k) rounded.at[k] = static_cast<T>(value.at[k]);
    store(tensor.value.data + i, rounded);
  }
}

/// A block for each chunk of the tensors.
template <class T>
__global__ void __launch_bounds__(block_size)
    adamw_kernel(ops::AdamWStep s, TensorListView<ops::AdamWTensor<T>> tensors,
                 const ops::AdamWState* state) {
  using A = acc_t<T>;
  if (!state->is_finite()) return;
  const auto chunk = tensors.chunk(blockIdx.x);
  const ops::AdamWFactors<A> factors(s, *state, chunk.entry.decays);
  const auto& x = chunk.entry;
  const bool packs =
      packs_fit<widest<A>>(x.gradient.data, x.value.data, x.master.data, x.first.data, x.second.data);
  for_each_pack<widest<A>>(packs, chunk.begin, chunk.end,
                           [&](std::int64_t i, auto size) { adamw_pack<size>(factors, x, i); });
}

}  // namespace cuda

template <>
struct kernel<ops::AdamW, Cuda> {
  static void begin(const ops::AdamWStep& s, Vec<const double> sums, ops::AdamWState* state) {
    cuda::launch(cuda::begin_adamw_kernel<ops::AdamWState>, 1, 1, 0, s, sums, state);
  }

  template <class T>
  static void step(const ops::AdamWStep& s, std::span<const ops::AdamWTensor<T>> tensors,
                   const ops::AdamWState* state) {
    const cuda::TensorList list(tensors, [](const auto& tensor) { return tensor.value.size; });
    cuda::launch(cuda::adamw_kernel<T>, list.chunks(), cuda::block_size, 0, s, list.view(), state);
  }
};

}  // namespace cria
