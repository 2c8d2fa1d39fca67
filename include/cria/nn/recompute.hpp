#pragma once

#include "cria/nn/dropout.hpp"

namespace cria::nn {

/// f(x) without keeping what f computes on the way: backward computes that again, from x, and adds the same
/// gradients, bit for bit. What f drops (nn::Dropout) it drops again. f gets a Tensor and gives one; it must
/// hold what it uses by value, as modules do, for it is called again later. Chen et al. 2016.
template <FloatingPoint T, class B, class F>
Tensor<T, B> recompute(F f, const Tensor<T, B>& x) {
  if (!is_recording()) return f(x);
  const detail::DropoutSource source = detail::dropout_source;
  auto from = inputs(x);
  const auto leaf = cria::detail::as_leaf(x);
  const auto y = f(leaf);
  from.wanted = y.requires_grad();
  if (const auto& node = cria::detail::node(y))
    from.add_leaves(node, leaf);  // parameters as a rule: f will read them again
  return record("recompute", y.detach(), std::move(from), [=](const Tensor<T, B>& dy) {
    const cria::detail::Recording recording;
    const DropoutStream again(source);
    cria::detail::run_backward(f(cria::detail::as_leaf(x)), dy);
  });
}

}  // namespace cria::nn
