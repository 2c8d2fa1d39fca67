#pragma once
/// Losses, composed of formulas and reductions: in acc_t<T>, and the mean over all elements unless options
/// say sum.

#include <array>
#include <cstdint>
#include <string_view>

#include "cria/ops/cast.hpp"
#include "cria/ops/cross_entropy.hpp"
#include "cria/ops/expand.hpp"
#include "cria/ops/gather.hpp"
#include "cria/ops/reduce.hpp"
#include "cria/ops/softmax.hpp"

namespace cria {

/// What becomes of the losses of single elements.
enum class Reduction { mean, sum };

struct LossOptions {
  Reduction reduction = Reduction::mean;
};
struct HuberOptions {
  double delta = 1;
  Reduction reduction = Reduction::mean;
};
struct CrossEntropyOptions {
  /// Of each target's probability, shared by all classes. Szegedy et al. 2016.
  double label_smoothing = 0;
  /// The target that no row is compared with.
  std::int32_t ignore_index = ignored_target;
};

namespace ops {
CRIA_FORMULA(SquaredError, (auto x, auto target), square(x - target))
CRIA_FORMULA(AbsoluteError, (auto x, auto target), abs(x - target))
template <class A>
struct HuberError {
  A delta;
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(auto x, auto target) const {
    return where(abs(x - target) < delta, A(0.5) * square(x - target),
                 delta * (abs(x - target) - A(0.5) * delta));
  }
};
CRIA_FORMULA(BinaryCrossEntropy, (auto x, auto target), max(x, 0) - x * target + log1p(exp(-abs(x))))
CRIA_FORMULA(Divergence, (auto x, auto target), where(target == 0, 0, target*(log(target) - x)))
CRIA_FORMULA(IndexOrZero, (auto index, auto ignored), index == ignored ? 0 * index : index)
CRIA_FORMULA(WeightedLoss, (bool counts, auto of_target, auto weight), where(counts, -weight* of_target, 0))
/// A mean of losses, by their sum and that of their weights.
CRIA_FORMULA(MeanOfWeighted, (auto sum, auto weights), where(weights == 0, 0, sum / weights))
/// A row's share of a loss with smoothed labels, by its target's logarithm and the mean of all classes'.
template <class A>
struct SmoothedLoss {
  A smoothing;
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(bool counts, auto of_target, auto of_all, auto weight) const {
    return where(counts, -weight * (A(1) - smoothing) * of_target - smoothing * of_all, 0);
  }
};
}  // namespace ops

namespace detail {

/// The mean, or the sum, of the losses f(x, target) of elements.
template <class F, FloatingPoint T, class B>
Tensor<acc_t<T>, B> loss_of_elements(std::string_view op, F f, const Tensor<T, B>& x,
                                     const Tensor<T, B>& target, Reduction reduction) {
  check::same_shape(op, {"x", x.shape()}, {"target", target.shape()});
  const auto losses = map(op, f, x, target);
  return reduction == Reduction::mean ? mean(losses) : sum(losses);
}

}  // namespace detail

/// (x - target)^2. Throws ShapeError unless the shapes are equal; so do the next four.
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> mse_loss(const Tensor<T, B>& x, const std::type_identity_t<Tensor<T, B>>& target,
                             LossOptions options = {}) {
  return detail::loss_of_elements("mse_loss", ops::SquaredError{}, x, target, options.reduction);
}
/// |x - target|
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> l1_loss(const Tensor<T, B>& x, const std::type_identity_t<Tensor<T, B>>& target,
                            LossOptions options = {}) {
  return detail::loss_of_elements("l1_loss", ops::AbsoluteError{}, x, target, options.reduction);
}
/// (x - target)^2 / 2 where |x - target| is less than delta, delta (|x - target| - delta / 2) elsewhere.
/// Huber 1964.
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> huber_loss(const Tensor<T, B>& x, const std::type_identity_t<Tensor<T, B>>& target,
                               HuberOptions options = {}) {
  check::option(options.delta > 0, "huber_loss", "delta", options.delta, "it must be greater than 0");
  using A = acc_t<T>;
  return detail::loss_of_elements("huber_loss", ops::HuberError<A>{static_cast<A>(options.delta)}, x, target,
                                  options.reduction);
}
/// -(target log p + (1 - target) log(1 - p)) with p = sigmoid(x), for x of any size.
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> binary_cross_entropy_with_logits(const Tensor<T, B>& x,
                                                     const std::type_identity_t<Tensor<T, B>>& target,
                                                     LossOptions options = {}) {
  return detail::loss_of_elements("binary_cross_entropy_with_logits", ops::BinaryCrossEntropy{}, x, target,
                                  options.reduction);
}
/// target (log target - x) of probabilities `target` and logarithms x; 0 where the target is 0. The
/// divergence of Kullback and Leibler, 1951, of rows is the sum divided by their number.
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> kl_div(const Tensor<T, B>& x, const std::type_identity_t<Tensor<T, B>>& target,
                           LossOptions options = {}) {
  return detail::loss_of_elements("kl_div", ops::Divergence{}, x, target, options.reduction);
}

CRIA_REFUSE_TARGETS(mse_loss, LossOptions)
CRIA_REFUSE_TARGETS(l1_loss, LossOptions)
CRIA_REFUSE_TARGETS(huber_loss, HuberOptions)
CRIA_REFUSE_TARGETS(binary_cross_entropy_with_logits, LossOptions)
CRIA_REFUSE_TARGETS(kl_div, LossOptions)

namespace detail {

/// The mean over the rows that count of -weight[target] ((1 - smoothing) log p[target]) - smoothing * (mean
/// over the classes of weight log p), weighted by the targets' weights.
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> weighted_loss(const char* op, const Tensor<T, B>& log_probabilities,
                                  const Tensor<std::int32_t, B>& targets, const Tensor<acc_t<T>, B>& weight,
                                  const CrossEntropyOptions& options) {
  using A = acc_t<T>;
  check::below_one(op, "label_smoothing", options.label_smoothing);
  check::rank_at_least(op, {"x", log_probabilities.shape()}, 1);
  check::same_shape(op, {"x without its last dimension", log_probabilities.shape().leading()},
                    {"targets", targets.shape()});
  check::rank(op, {"weight", weight.shape()}, 1);
  check::equal_dims(op, {"x", log_probabilities.shape()}, -1, {"weight", weight.shape()}, 0);
  const auto counts = targets != options.ignore_index;
  const auto index = map(op, ops::WithNumber<ops::IndexOrZero, std::int32_t>{options.ignore_index}, targets);
  const auto logs = cast<A>(log_probabilities);
  const auto of_target = squeeze(gather_for(op, logs, -1, unsqueeze(index, -1)), -1);
  const auto weight_of_target =
      reshape(index_select(weight, 0, reshape(index, {index.size()})), index.shape());
  Tensor<A, B> losses;
  if (options.label_smoothing == 0) {  // a class that is impossible then does not matter
    losses = map(op, ops::WeightedLoss{}, counts, of_target, weight_of_target);
  } else {
    const auto of_all = mean(logs * weight, -1);
    losses = map(op, ops::SmoothedLoss<A>{static_cast<A>(options.label_smoothing)}, counts, of_target, of_all,
                 weight_of_target);
  }
  const auto weights = sum(where(counts, weight_of_target, zeros_like(weight_of_target)));
  return map(op, ops::MeanOfWeighted{}, sum(losses), weights);
}

}  // namespace detail

/// The mean over the rows whose target is not ignore_index of -x[target], for logarithms of probabilities x
/// [..., classes], targets [...]; 0 if all are ignored. Throws ShapeError if the shapes do not fit or a target
/// is no class.
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> nll_loss(const Tensor<T, B>& x, const Tensor<std::int32_t, B>& targets,
                             std::int32_t ignore_index = ignored_target) {
  check::rank_at_least("nll_loss", {"x", x.shape()}, 1);
  return detail::weighted_loss("nll_loss", x, targets, ones<acc_t<T>, B>({x.dim(-1)}),
                               {.ignore_index = ignore_index});
}

/// cross_entropy of targets that are smoothed: log_softmax, and then the mean over the rows that count of
/// -(1 - s) log p[target] - s * (mean of all log p); 0 if none counts. logits [..., classes], targets [...].
/// Throws ShapeError if the shapes do not fit or a target is no class, ConfigError for a smoothing outside
/// [0, 1).
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> cross_entropy(const Tensor<T, B>& logits, const Tensor<std::int32_t, B>& targets,
                                  const CrossEntropyOptions& options) {
  check::rank_at_least("cross_entropy", {"logits", logits.shape()}, 1);
  return detail::weighted_loss("cross_entropy", log_softmax(logits, -1), targets,
                               ones<acc_t<T>, B>({logits.dim(-1)}), options);
}
/// The same with a weight for each class, weight [classes]: each row counts as much as its target's weight
/// says.
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> cross_entropy(const Tensor<T, B>& logits, const Tensor<std::int32_t, B>& targets,
                                  const Tensor<acc_t<T>, B>& weight,
                                  const CrossEntropyOptions& options = {}) {
  check::rank_at_least("cross_entropy", {"logits", logits.shape()}, 1);
  return detail::weighted_loss("cross_entropy", log_softmax(logits, -1), targets, weight, options);
}

CRIA_REFUSE_CLASSES(nll_loss)
template <class T, class B, class U, class Place>
requires(detail::are_no_classes<T, B, U, Place>) Tensor<float, B> cross_entropy(const Tensor<T, B>&,
                                                                                const Tensor<U, Place>&,
                                                                                const CrossEntropyOptions&) {
  detail::refuse_classes<T, B, U, Place>();
  return {};
}

/// The cosine of the angle between a and b along a dimension, which disappears: a . b / (max(|a|, eps)
/// max(|b|, eps)). Shapes are broadcast. Throws ShapeError if they do not fit or have no such dimension,
/// ConfigError for an eps below 0.
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> cosine_similarity(const Tensor<T, B>& a, const Tensor<T, B>& b, int axis = -1,
                                      double eps = 1e-8) {
  using A = acc_t<T>;
  check::not_negative("cosine_similarity", "eps", eps);
  const Shape shape = broadcast_shape("cosine_similarity", std::array{a.shape(), b.shape()});
  const int along = detail::axis_of("cosine_similarity", shape, axis);
  const Tensor<T, B> left = a.shape() == shape ? a : expand(a, shape);
  const Tensor<T, B> right = b.shape() == shape ? b : expand(b, shape);
  const auto least = Tensor<A, B>::scalar(static_cast<A>(eps));
  return sum(left * right, along) / (maximum(norm(left, along), least) * maximum(norm(right, along), least));
}

}  // namespace cria
