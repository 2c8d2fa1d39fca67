#pragma once

#include <span>
#include <utility>

#include "cria/backend/cuda/pack.cuh"
#include "cria/backend/cuda/tensor_list.cuh"
#include "cria/core/operations.hpp"
#include "cria/core/update_rules.hpp"

namespace cria {

namespace cuda {

/// One thread, as there are only two sums, of float and of double gradients.
template <class Rule>
__global__ void begin_update_kernel(Rule rule, GradientScaling scaling, Vec<const double> sums,
                                    ops::UpdateState<Rule>* state) {
  state->begin(rule, scaling, sums);
}

/// Where x is kept in acc_t: in its master copy, or in its own memory.
template <class Rule, class T>
__device__ __forceinline__ acc_t<T>* exact_value(const ops::UpdateTensor<Rule, T>& x) {
  if constexpr (std::is_same_v<T, acc_t<T>>) {
    return x.value.data;
  } else {
    return x.master.data;
  }
}

template <int Size, class Factors, class Rule, class T, std::size_t... k>
__device__ __forceinline__ void update_pack(const Factors& update, acc_t<T> factor,
                                            const ops::UpdateTensor<Rule, T>& x, std::int64_t i,
                                            std::index_sequence<k...>) {
  const auto gradient = load<Size>(x.gradient.data + i);
  auto value = load<Size>(exact_value(x) + i);
  Pack<acc_t<T>, Size> state[sizeof...(k) == 0 ? 1 : sizeof...(k)] = {load<Size>(x.state[k].data + i)...};
#pragma unroll
  for (int e = 0; e < Size; ++e) update(gradient.at[e] * factor, value.at[e], state[k].at[e]...);
  (store(x.state[k].data + i, state[k]), ...);
  store(exact_value(x) + i, value);
  if constexpr (!std::is_same_v<T, acc_t<T>>) {
    Pack<T, Size> rounded;
#pragma unroll
    for (int e = 0; e < Size; ++e) rounded.at[e] = static_cast<T>(value.at[e]);
    store(x.value.data + i, rounded);
  }
}

template <int Size, class Rule, class T, std::size_t... k>
CRIA_HOST_DEVICE bool packs_fit(const ops::UpdateTensor<Rule, T>& x, std::index_sequence<k...>) {
  return packs_fit<Size>(x.gradient.data, x.value.data, x.master.data, x.state[k].data...);
}

/// A block for each chunk of the tensors.
template <class Rule, class T>
__global__ void __launch_bounds__(block_size)
    update_kernel(TensorListView<ops::UpdateTensor<Rule, T>> tensors, const ops::UpdateState<Rule>* state) {
  using A = acc_t<T>;
  using States = std::make_index_sequence<Rule::state.size()>;
  if (!state->is_finite()) return;
  const auto chunk = tensors.chunk(blockIdx.x);
  const auto& x = chunk.entry;
  const typename Rule::template Factors<A> update(state->rule, x.learning_rate, x.weight_decay);
  const A factor = static_cast<A>(state->gradient_factor);
  for_each_pack<widest<A>>(
      packs_fit<widest<A>>(x, States()), chunk.begin, chunk.end,
      [&](std::int64_t i, auto size) { update_pack<size>(update, factor, x, i, States()); });
}

}  // namespace cuda

template <class Rule>
struct kernel<ops::Update<Rule>, Cuda> {
  static void begin(const Rule& rule, const GradientScaling& scaling, Vec<const double> sums,
                    ops::UpdateState<Rule>* state) {
    cuda::launch(cuda::begin_update_kernel<Rule>, 1, 1, 0, rule, scaling, sums, state);
  }

  template <class T>
  static void step(std::span<const ops::UpdateTensor<Rule, T>> tensors, const ops::UpdateState<Rule>* state) {
    const cuda::TensorList list(tensors, [](const auto& tensor) { return tensor.value.size; });
    cuda::launch(cuda::update_kernel<Rule, T>, list.chunks(), cuda::block_size, 0, list.view(), state);
  }
};

}  // namespace cria
