#pragma once

#include <cmath>

#include "cria/nn/module.hpp"
#include "cria/ops/gradients.hpp"

namespace cria {

/// Multiplies every gradient of `model` by `factor`.
template <class M>
void scale_gradients(M& model, double factor) {
  nn::for_each_parameter(model, [&]<class T, class B>(const std::string&, Parameter<T, B>& parameter) {
    if (!parameter.has_grad()) return;
    kernel_for<ops::ScaleInPlace, B>::apply(static_cast<acc_t<T>>(factor), parameter.grad_vec());
  });
}

/// The L2 norm of all gradients of `model` as one vector; not finite if one of them is not.
template <class M>
double gradient_norm(const M& model) {
  double sum = 0;
  nn::for_each_parameter(model, [&]<class T, class B>(const std::string&, const Parameter<T, B>& parameter) {
    if (!parameter.has_grad()) return;
    sum += kernel_for<ops::SumOfSquares, B>::sum(Vec<const acc_t<T>>(parameter.grad_vec()));
  });
  return std::sqrt(sum);
}

/// Scales the gradients of `model`, whose norm is `norm`, by min(1, max_norm / (norm + 1e-6)). A norm that is
/// not finite leaves them alone; max_norm = 0 turns clipping off. Pascanu et al. 2013; PyTorch's formula.
template <class M>
void clip_grad_norm(M& model, double max_norm, double norm) {
  const double factor = max_norm / (norm + 1e-6);
  if (max_norm > 0 && std::isfinite(norm) && factor < 1.0) scale_gradients(model, factor);
  detail::end_of_operation("clip_grad_norm");
}

/// The same where the norm is not known yet; returns it as it was before.
template <class M>
double clip_grad_norm(M& model, double max_norm) {
  const double norm = gradient_norm(model);
  clip_grad_norm(model, max_norm, norm);
  return norm;
}

}  // namespace cria
