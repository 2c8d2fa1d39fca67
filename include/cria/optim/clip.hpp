#pragma once

#include <cmath>

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

}  // namespace cria
