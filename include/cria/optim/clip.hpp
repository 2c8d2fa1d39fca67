#pragma once

#include <cmath>
#include <span>

#include "cria/backend/cpu/gradients.hpp"
#include "cria/core/caching_allocator.hpp"
#include "cria/nn/module.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/gradients.cuh"
#endif

namespace cria {

/// Multiplies every gradient of `model` by `factor`.
template <class M>
void scale_gradients(M& model, double factor) {
  nn::for_each_parameter(model, [&]<class T, class B>(const std::string&, Parameter<T, B>& parameter) {
    if (!parameter.has_grad()) return;
    kernel_for<ops::ScaleInPlace, B>::apply(static_cast<acc_t<T>>(factor), sink(parameter).vec());
  });
}

/// The L2 norm of all gradients of `model` as one vector; not finite if one of them is not.
template <class M>
double gradient_norm(const M& model) {
  double sum = 0;
  nn::for_each_parameter(model, [&]<class T, class B>(const std::string&, const Parameter<T, B>& parameter) {
    if (!parameter.has_grad()) return;
    const Tensor<acc_t<T>, B> all = parameter.grad();
    const Vec<const acc_t<T>> gradient = all.vec();
    const ScratchMemory<double, B> on_backend(1);
    kernel_for<ops::SumOfSquares, B>::sum(std::span(&gradient, 1), on_backend.data());
    double squares = 0;
    B::copy_to_host(&squares, on_backend.data(), sizeof(squares));
    sum += squares;
  });
  return std::sqrt(sum);
}

/// Scales the gradients of `model` by min(1, max_norm / (norm + 1e-6)) and returns their norm as it was
/// before. A norm that is not finite leaves them alone; max_norm = 0 turns clipping off. AdamW::step clips by
/// itself; this is for other optimisers. Pascanu et al. 2013; PyTorch's formula.
template <class M>
double clip_grad_norm(M& model, double max_norm) {
  const double norm = gradient_norm(model);
  const double factor = max_norm / (norm + 1e-6);
  if (max_norm > 0 && std::isfinite(norm) && factor < 1.0) scale_gradients(model, factor);
  detail::end_of_operation("clip_grad_norm");
  return norm;
}

}  // namespace cria
