#pragma once
/// Losses, composed of formulas and reductions. Each is the mean over all elements, unless options say sum or none.

#include <cstdint>
#include <string>

#include "cria/ops/cross_entropy.hpp"
#include "cria/ops/reduce.hpp"
#include "cria/ops/reshape.hpp"
#include "cria/ops/softmax.hpp"

namespace cria {

/// What becomes of the losses of single elements.
enum class Reduction { mean, sum, none };

struct LossOptions {
  Reduction reduction = Reduction::mean;
};

namespace ops {
CRIA_FORMULA(SquaredError, (auto x, auto target), square(x - target))
CRIA_FORMULA(AbsoluteError, (auto x, auto target), abs(x - target))
/// Quadratic up to delta, linear beyond.
template <class A>
struct HuberError {
  A delta;
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(auto x, auto target) const {
    const auto distance = abs(x - target);
    return where(distance < delta, A(0.5) * square(distance), delta * (distance - A(0.5) * delta));
  }
};
/// -(t log p + (1 - t) log(1 - p)) with p = sigmoid(x), for x of any size.
CRIA_FORMULA(BinaryCrossEntropy, (auto x, auto target), max(x, 0) - x * target + log1p(exp(-abs(x))))
/// t (log t - x), 0 for t = 0.
CRIA_FORMULA(Divergence, (auto x, auto target), where(target == 0, 0, target*(log(target) - x)))
/// -x of the target's class, 0 of all others.
CRIA_FORMULA(OfTarget, (auto x, auto target, auto index), where(target == index, -x, 0))
}  // namespace ops

namespace detail {

template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> reduce_loss(const Tensor<T, B>& losses, Reduction reduction) {
  if (reduction == Reduction::mean) return mean(losses);
  return sum(losses);
}

}  // namespace detail

}  // namespace cria
