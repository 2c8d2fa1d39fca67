#pragma once

#include <concepts>
#include <utility>

#include "cria/backend/cpu/rms_norm.hpp"
#include "cria/core/check.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/accumulate.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/rms_norm.cuh"
#endif

namespace cria {

namespace detail {

/// Records y as computed from x, which is cheap to repeat.
template <class K, FloatingPoint T, class B, class Weight>
Tensor<T, B> record_rms_norm(const Tensor<T, B>& y, const Tensor<T, B>& x, const Weight& weight, float eps,
                             const Tensor<acc_t<T>, B>& inv_rms) {
  const auto compute = [=] {
    auto again = Tensor<T, B>::empty(x.shape());
    auto saved = inv_rms;
    K::forward(x.rows(), weight.vec(), eps, again.mutable_rows(), saved.mutable_vec());
    return again;
  };
  const auto backward = [=](const Tensor<T, B>& dy) {
    with_wide_sink<acc_t<T>>(sink(weight), [&](const auto& dweight) {
      const auto dx = sink(x).rows();
      K::backward(dy.rows(), x.rows(), weight.vec(), inv_rms.vec(), dx, dweight.vec());
    });
  };
  return record("rms_norm", y, inputs(x, weight), backward, compute);
}

}  // namespace detail

/// y = x / sqrt(mean(x^2, last dimension) + eps) * weight, computed in acc_t<T>. x [..., n], weight [n] ->
/// [..., n]. Throws ShapeError if weight is not [n]. Zhang & Sennrich 2019.
template <FloatingPoint T, class B, std::derived_from<Tensor<T, B>> Weight>
Tensor<T, B> rms_norm(const Tensor<T, B>& x, const Weight& weight, float eps = 1e-5f) {
  using K = kernel_for<ops::RmsNorm, B>;
  check::not_negative("rms_norm", "eps", static_cast<double>(eps));
  check::rank_at_least("rms_norm", {"x", x.shape()}, 1);
  check::rank("rms_norm", {"weight", weight.shape()}, 1);
  check::equal_dims("rms_norm", {"x", x.shape()}, -1, {"weight", weight.shape()}, 0);
  auto y = Tensor<T, B>::empty(x.shape());
  auto inv_rms = Tensor<acc_t<T>, B>::empty(x.shape().leading());
  K::forward(x.rows(), weight.vec(), eps, y.mutable_rows(), inv_rms.mutable_vec());
  return detail::record_rms_norm<K>(y, x, weight, eps, inv_rms);
}

/// {a + b, rms_norm(a + b, weight, eps)}, as a residual path needs both, in one pass over memory. a, b
/// [..., n], weight [n] -> [..., n] each. Throws ShapeError if a and b differ or weight is not [n].
template <FloatingPoint T, class B, std::derived_from<Tensor<T, B>> Weight>
std::pair<Tensor<T, B>, Tensor<T, B>> add_rms_norm(const Tensor<T, B>& a, const Tensor<T, B>& b,
                                                   const Weight& weight, float eps = 1e-5f) {
  using K = kernel_for<ops::RmsNorm, B>;
  check::not_negative("add_rms_norm", "eps", static_cast<double>(eps));
  check::same_shape("add_rms_norm", {"a", a.shape()}, {"b", b.shape()});
  check::rank_at_least("add_rms_norm", {"a", a.shape()}, 1);
  check::rank("add_rms_norm", {"weight", weight.shape()}, 1);
  check::equal_dims("add_rms_norm", {"a", a.shape()}, -1, {"weight", weight.shape()}, 0);
  auto x = Tensor<T, B>::empty(a.shape()), y = Tensor<T, B>::empty(a.shape());
  auto inv_rms = Tensor<acc_t<T>, B>::empty(a.shape().leading());
  K::forward_of_sum(a.rows(), b.rows(), weight.vec(), eps, x.mutable_rows(), y.mutable_rows(),
                    inv_rms.mutable_vec());
  detail::end_of_operation("rms_norm");
  x = detail::record_sum(x, a, b);
  return {x, detail::record_rms_norm<K>(y, x, weight, eps, inv_rms)};
}

}  // namespace cria
