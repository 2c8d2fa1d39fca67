#pragma once

#include <span>
#include <utility>

#include "cria/backend/cpu/map.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/update_rules.hpp"

namespace cria {

namespace cpu {

/// Updates `size` elements x, whose gradients are factor * gradient. Flattened, because a call to the rule
/// that is not inlined would keep the loop from being vectorised.
template <class Factors, class A, class... State>
[[gnu::flatten]] void update_block(std::int64_t size, Factors update, A factor, const A* gradient, A* x,
                                   State*... state) {
  CRIA_SIMD
  for (std::int64_t i = 0; i < size; ++i) update(gradient[i] * factor, x[i], state[i]...);
}

}  // namespace cpu

template <class Rule>
struct kernel<ops::Update<Rule>, Cpu> {
  static void begin(const Rule& rule, const GradientScaling& scaling, Vec<const double> sums,
                    ops::UpdateState<Rule>* state) {
    state->begin(rule, scaling, sums);
  }

  template <class T>
  static void step(std::span<const ops::UpdateTensor<Rule, T>> tensors, const ops::UpdateState<Rule>* state) {
    if (!state->is_finite()) return;
    for (const auto& tensor : tensors) {
      step(tensor, *state, std::make_index_sequence<Rule::state.size()>());
    }
  }

 private:
  template <class T, std::size_t... k>
  static void step(const ops::UpdateTensor<Rule, T>& tensor, const ops::UpdateState<Rule>& state,
                   std::index_sequence<k...>) {
    using A = acc_t<T>;
    const typename Rule::template Factors<A> update(state.rule, tensor.learning_rate, tensor.weight_decay);
    const A factor = static_cast<A>(state.gradient_factor);
    const auto update_range = [=](std::int64_t begin, std::int64_t end) {
      // 16-bit values are rounded from their master copies, block by block while these are in cache.
      const Vec<A> exact = [&] {
        if constexpr (std::is_same_v<T, A>) return tensor.value;
        return tensor.master;
      }();
      cpu::for_each_block(begin, end, [&](std::int64_t first, std::int64_t count) {
        cpu::update_block(count, update, factor, tensor.gradient.data + first, exact.data + first,
                          tensor.state[k].data + first...);
        if constexpr (!std::is_same_v<T, A>) {
          cpu::convert_range(exact.data + first, tensor.value.data + first, count);
        }
      });
    };
    cpu::parallel_for_elements(tensor.value.size, cpu::elementwise_grain, update_range);
  }
};

}  // namespace cria
