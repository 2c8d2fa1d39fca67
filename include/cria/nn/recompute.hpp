#pragma once

#include <tuple>
#include <utility>

#include "cria/nn/dropout.hpp"
#include "cria/ops/accumulate.hpp"

namespace cria::nn {

/// f(x...) without keeping what f computes on the way: backward computes that again, from x..., and adds the
/// same gradients, bit for bit. What f drops (nn::Dropout) it drops again; running statistics follow the
/// first time alone. f gets tensors and gives one; it must hold what it uses by value, as modules do, for it
/// is called again later. Chen et al. 2016.
template <class F, FloatingPoint... T, class B>
auto recompute(F f, const Tensor<T, B>&... x) {
  if (!is_recording()) return f(x...);
  const detail::DropoutSource source = detail::dropout_source;
  cria::detail::Inputs from;
  (from.add(x), ...);
  const std::tuple leaves{cria::detail::as_leaf(x)...};
  const auto y = std::apply(f, leaves);
  from.wanted = y.requires_grad();
  if (const auto& node = cria::detail::node(y)) {  // parameters as a rule: f will read them again
    std::apply([&](const auto&... leaf) { from.add_leaves(node, leaf...); }, leaves);
  }
  return record("recompute", y.detach(), std::move(from), [=](const auto& dy) {
    const cria::detail::Recomputation repeated;
    const DropoutStream again(source);
    const auto result = f(cria::detail::as_leaf(x)...);
    if (cria::detail::node(result)) {
      cria::detail::run_backward(result, dy);
    } else {  // it is an input or a parameter as it is, or what f uses was frozen since
      accumulate(sink(result), dy);
    }
  });
}

}  // namespace cria::nn

namespace cria {
using nn::recompute;
}
