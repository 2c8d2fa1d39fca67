#pragma once
/// The kernels of attention alone, on rows that are apart.

#include <cmath>
#include <cstdint>
#include <vector>

#include "cria/ops/attention.hpp"
#include "support/op_case.hpp"
#include "support/spaced_heads.hpp"

namespace cria::test {

struct AttentionSizes {
  std::int64_t batch, length, keys, heads, kv_heads, dim;
};

/// The output, log_sum and the gradients of q, k and v.
using AttentionResults = std::vector<Values>;

/// The kernels of backend B on random numbers that are the same for every T, up to rounding to bfloat16.
/// `fresh`: of the gradients, which else hold ones. Inputs and outputs have the spacing, in turns.
template <class T, class B>
AttentionResults run_attention_kernel(const AttentionSizes& sizes, bool fresh, const Spacing& spacing = {}) {
  using A = acc_t<T>;
  using K = kernel_for<ops::Attention, B>;
  const Shape q_shape{sizes.batch, sizes.length, sizes.heads, sizes.dim};
  const Shape k_shape{sizes.batch, sizes.keys, sizes.kv_heads, sizes.dim};
  const auto random = [&](const Shape& shape, std::uint64_t seed, const Spacing& own) {
    return SpacedHeads<T, B>(shape, own, normals(shape.size(), seed));
  };
  const auto constant = [&](const Shape& shape, double value, const Spacing& own) {
    return SpacedHeads<T, B>(shape, own, Values(static_cast<std::size_t>(shape.size()), value));
  };
  const Spacing wider{2 * spacing.before, 2 * spacing.gap};
  auto q = random(q_shape, 1, spacing), k = random(k_shape, 2, wider), v = random(k_shape, 3, {}),
       dy = random(q_shape, 4, {});
  auto y = constant(q_shape, std::nan(""), spacing);
  auto log_sum = Tensor<A, B>::empty({sizes.batch, sizes.heads, sizes.length});
  K::forward(Heads<const T>(q.view()), Heads<const T>(k.view()), Heads<const T>(v.view()), y.view(),
             log_sum.mutable_vec());
  const double before = fresh ? std::nan("") : 1.0;
  auto dq = constant(q_shape, before, {}), dk = constant(k_shape, before, spacing),
       dv = constant(k_shape, before, wider);
  const auto gradient = [&](SpacedHeads<T, B>& x) { return Gradient<Heads<T>>{x.view(), fresh}; };
  const Tensor<A, B>& log_sums = log_sum;
  K::backward(Heads<const T>(dy.view()), Heads<const T>(q.view()), Heads<const T>(k.view()),
              Heads<const T>(v.view()), Heads<const T>(y.view()), log_sums.vec(), gradient(dq), gradient(dk),
              gradient(dv));
  return {y.values(), to_values(log_sum), dq.values(), dk.values(), dv.values()};
}

}  // namespace cria::test
