#pragma once

#include <cmath>
#include <string>

#include "cria/core/check.hpp"
#include "cria/ops/elementwise.hpp"
#include "cria/optim/parameter_groups.hpp"

namespace cria {

/// Multiplies every gradient of `model` by `factor`. B: the backend of its parameters.
template <class B = DefaultBackend, class M>
void scale_gradients(M& model, double factor) {
  ParameterGroups<B>(model).scale_gradients(factor);
}

/// The L2 norm of all gradients of `model` as one vector, without frozen parameters; not finite if one of
/// them is not. B: the backend of its parameters.
template <class B = DefaultBackend, class M>
double gradient_norm(const M& model) {
  return ParameterGroups<B>(model).gradient_norm();
}

/// Scales the gradients of `model` by clip_factor(norm, max_norm) and returns their norm as it was before. A
/// norm that is not finite leaves them alone; max_norm = 0 turns clipping off. Optimisers clip by themselves;
/// this is for who reads the gradients before the step. B: the backend of the parameters.
template <class B = DefaultBackend, class M>
double clip_grad_norm(M& model, double max_norm) {
  ParameterGroups<B> groups(model);
  const double norm = groups.gradient_norm();
  const double factor = clip_factor(norm, max_norm);
  if (std::isfinite(norm) && factor < 1) groups.scale_gradients(factor);
  detail::end_of_operation("clip_grad_norm");
  return norm;
}

/// Clamps every number of every gradient of `model` to [-limit, limit]; NaN stays. Throws ConfigError unless the
/// limit is positive. B: the backend of the parameters.
template <class B = DefaultBackend, class M>
void clip_grad_value(M& model, double limit) {
  check::option(limit > 0, "clip_grad_value", "limit", limit, "it must be positive");
  const NoGrad guard;
  nn::for_each_parameter(model, [&]<class T>(const std::string&, Parameter<T, B>& parameter) {
    const auto most = static_cast<acc_t<T>>(limit);
    if (parameter.has_grad()) parameter.set_grad(clamp(parameter.grad(), -most, most));
  });
}

}  // namespace cria
