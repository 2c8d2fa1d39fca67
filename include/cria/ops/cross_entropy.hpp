#pragma once

#include <concepts>
#include <cstdint>
#include <utility>

#include "cria/backend/cpu/cross_entropy.hpp"
#include "cria/core/check.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/refused.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/cross_entropy.cuh"
#endif

namespace cria {

/// The target that no row is compared with.
inline constexpr std::int32_t ignored_target = -100;

/// Mean over the rows whose target is not `ignore` of log(sum(exp(logits))) - logits[target], in acc_t<T>; 0
/// if all are ignored. logits [..., classes], targets [...] -> []. Throws ShapeError if the shapes do not fit
/// or a target is not in [0, classes).
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> cross_entropy(const Tensor<T, B>& logits, const Tensor<std::int32_t, B>& targets,
                                  std::int32_t ignore = ignored_target) {
  using K = kernel_for<ops::CrossEntropy, B>;
  check::rank_at_least("cross_entropy", {"logits", logits.shape()}, 1);
  check::same_shape("cross_entropy", {"logits without its last dimension", logits.shape().leading()},
                    {"targets", targets.shape()});
  auto loss = Tensor<acc_t<T>, B>::empty({});
  auto log_sum = Tensor<acc_t<T>, B>::empty(targets.shape());
  K::forward(logits.rows(), targets.vec(), ignore, loss.mutable_vec(), log_sum.mutable_vec());
  return record("cross_entropy", loss, inputs(logits, targets), [=](const Tensor<acc_t<T>, B>& dloss) {
    K::backward(dloss.vec(), logits.rows(), targets.vec(), ignore, log_sum.vec(), sink(logits).rows());
  });
}

/// cross_entropy(linear(x, weight), targets, ignore) without ever holding all logits: it works in chunks of
/// rows and computes the gradients on the way, because a chunk's logits are gone when backward comes. x [...,
/// dim], weight [vocab, dim], targets [...] -> []. Throws ShapeError as its two parts do. Hsu et al. 2024.
template <FloatingPoint T, class B, std::derived_from<Tensor<T, B>> Weight>
Tensor<acc_t<T>, B> linear_cross_entropy(const Tensor<T, B>& x, const Weight& weight,
                                         const Tensor<std::int32_t, B>& targets,
                                         std::int32_t ignore = ignored_target) {
  using K = kernel_for<ops::LinearCrossEntropy, B>;
  using A = acc_t<T>;
  check::rank_at_least("linear_cross_entropy", {"x", x.shape()}, 1);
  check::rank("linear_cross_entropy", {"weight", weight.shape()}, 2);
  check::equal_dims("linear_cross_entropy", {"x", x.shape()}, -1, {"weight", weight.shape()}, -1);
  check::same_shape("linear_cross_entropy", {"x without its last dimension", x.shape().leading()},
                    {"targets", targets.shape()});
  auto from = inputs(unread(x), unread(weight));
  auto loss = Tensor<A, B>::empty({});
  auto dx = from.wanted && x.requires_grad() ? Tensor<A, B>::empty(x.shape()) : Tensor<A, B>();
  auto dweight = from.wanted && weight.requires_grad() ? Tensor<A, B>::empty(weight.shape()) : Tensor<A, B>();
  K::forward(x.rows(), weight.rows(), targets.vec(), ignore, loss.mutable_vec(),
             dx.defined() ? dx.mutable_rows() : Rows<A>{},
             dweight.defined() ? dweight.mutable_rows() : Rows<A>{});
  return record("linear_cross_entropy", loss, std::move(from),
                [=, to_x = sink(x), to_weight = sink(weight)](const Tensor<A, B>& dloss) {
                  if (dx.defined()) K::backward(dloss.vec(), dx.vec(), to_x.vec());
                  if (dweight.defined()) K::backward(dloss.vec(), dweight.vec(), to_weight.vec());
                });
}

CRIA_REFUSE_CLASSES(cross_entropy)
CRIA_REFUSE_INDICES(linear_cross_entropy, const Tensor<T, B>&, const Tensor<T, B>&)

}  // namespace cria
