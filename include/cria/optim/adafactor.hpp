#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string_view>
#include <vector>

#include "cria/ops/elementwise.hpp"
#include "cria/ops/reduce.hpp"
#include "cria/optim/optimizer.hpp"

namespace cria {

struct AdafactorOptions {
  double learning_rate =
      1e-2;  // of a parameter's own size; from 1 / learning_rate^2 steps on it is 1 / sqrt(t)
  double beta2_decay = -0.8;    // how the weight of new squares falls with the steps: t^beta2_decay
  double least_size = 1e-3;     // what a parameter's root mean square counts as at least
  double clip_threshold = 1.0;  // to which the root mean square of an update is scaled down
  double weight_decay = 0.0;
  /// What the weight decay of a parameter is multiplied by: 0 leaves it out.
  std::function<double(std::string_view, const Shape&)> weight_decay_factor = decay_matrices;
  MissingGradient missing_gradient = MissingGradient::error;
  /// What the learning rate of a parameter is multiplied by.
  std::function<double(std::string_view, const Shape&)> learning_rate_factor = full_rate;
};

namespace detail {

/// g / sqrt(max(row column / mean, least)), and without factors g / sqrt(max(v, least))
template <class A>
struct FactoredDirection {
  A least_mean, least;
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(auto g, auto row, auto column, auto mean) const {
    return g * rsqrt(max(row * column / max(mean, least_mean), least));
  }
};
template <class A>
struct ScaledDirection {
  A least;
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(auto g, auto v) const { return g * rsqrt(max(v, least)); }
};
/// What the update u is multiplied by: the parameter's size over how far the update's exceeds the threshold.
template <class A>
struct UpdateSize {
  A least_size, threshold;
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(auto u, auto size, auto of_update) const {
    return u * (max(size, least_size) / max(of_update / threshold, A(1)));
  }
};

}  // namespace detail

/// Adafactor: Adam without momentum, whose mean squares of a matrix are kept by row and by column alone, so
/// that its state is next to nothing. Shazeer & Stern 2018; PyTorch's formula.
///   w = t^beta2_decay
///   row = row + w (mean_columns(g^2) - row);  column = column + w (mean_rows(g^2) - column)
///   u = g / sqrt(row column / mean(row)), of vectors g / sqrt(v);  v = v + w (g^2 - v)
///   x = x - lr decay x - min(lr, 1 / sqrt(t)) max(least_size, rms(x)) u / max(1, rms(u) / clip_threshold)
template <class B = DefaultBackend>
class Adafactor : public Optimizer<B> {
 public:
  /// Throws what Optimizer does, and ConfigError unless beta2_decay is 0 or less, least_size 0 or more and
  /// clip_threshold positive.
  template <class M>
  explicit Adafactor(M& model, const AdafactorOptions& options = {})
      : Optimizer<B>("Adafactor", model, options),
        options_(options),
        unscale_({}),
        average_({.power = options.beta2_decay, .weight = 1}),
        descend_({.damped = true}),
        updates_(model) {
    check::option(options.beta2_decay <= 0, "Adafactor", "beta2_decay", options.beta2_decay,
                  "it must be 0 or less");
    check::not_negative("Adafactor", "least_size", options.least_size);
    check::option(options.clip_threshold > 0, "Adafactor", "clip_threshold", options.clip_threshold,
                  "it must be positive");
    for (const auto& slot : this->groups_.slots()) {
      const Shape& shape = slot->shape();
      if (shape.rank() < 2) {
        slot->wanted_state = {{"variance", shape}};
      } else {
        slot->wanted_state = {{"row_variance", shape.with_dim(-1, 1)},
                              {"column_variance", shape.with_dim(-2, 1)}};
      }
    }
    this->groups_.create_state();
  }

 private:
  friend UpdatesByDtype<Adafactor>;

  void begin(const GradientScaling& scaling, Vec<const double> sums) override {
    unscale_.begin(scaling, sums);
    average_.begin({}, sums);
    descend_.begin({}, sums);
  }
  void update() override { updates_(*this); }
  ops::StepState state() const override { return unscale_.state(); }
  void restore_steps(std::int64_t steps) override {
    unscale_.set_steps(steps);
    average_.set_steps(steps);
    descend_.set_steps(steps);
  }

  template <class T>
  void update_parameters() {
    for (auto* slot : this->groups_.template updated<T>()) update_parameter(*slot);
  }

  template <class T>
  void update_parameter(ParameterSlot<T, B>& slot) {
    using A = acc_t<T>;
    if (slot.shape().size() == 0) return;
    const NoGrad guard;
    auto gradient = Tensor<A, B>::zeros(slot.shape());
    unscale_(std::vector<ops::UpdateTensor<ops::Unscale, A>>{
        {slot.gradient(), gradient.mutable_vec(), {}, {}, 0, 0}});
    const Tensor<A, B> u = direction(slot, gradient);
    const auto root_mean_square = [](const Tensor<A, B>& x) { return sqrt(mean(square(x))); };
    const auto update = detail::map_without_gradient(
        "adafactor", detail::UpdateSize<A>{A(options_.least_size), A(options_.clip_threshold)}, u,
        root_mean_square(slot.exact_value()), root_mean_square(u));
    descend_(std::vector{
        slot.template operands<ops::Descend>(update.vec(), this->learning_rate(), this->weight_decay())});
  }

  /// The gradient over the root of its mean squares, which it enters.
  template <class T, class A>
  Tensor<A, B> direction(ParameterSlot<T, B>& slot, const Tensor<A, B>& gradient) {
    const A epsilon = std::numeric_limits<A>::epsilon();
    const auto squares = square(gradient);
    if (slot.shape().rank() < 2) {
      average_(std::vector{entering(squares, slot.state(0))});
      return detail::map_without_gradient("adafactor", detail::ScaledDirection<A>{epsilon * epsilon},
                                          gradient, slot.state(0));
    }
    const auto of_rows = mean(squares, -1, {.keepdim = true}),
               of_columns = mean(squares, -2, {.keepdim = true});
    average_(std::vector{entering(of_rows, slot.state(0)), entering(of_columns, slot.state(1))});
    return detail::map_without_gradient("adafactor", detail::FactoredDirection<A>{epsilon, epsilon * epsilon},
                                        gradient, slot.state(0), slot.state(1),
                                        mean(slot.state(0), -2, {.keepdim = true}));
  }

  template <class A>
  static ops::UpdateTensor<ops::Average, A> entering(const Tensor<A, B>& squares, Tensor<A, B>& state) {
    return {squares.vec(), state.mutable_vec(), {}, {}, 0, 0};
  }

  AdafactorOptions options_;
  UpdatePass<ops::Unscale, B> unscale_;
  UpdatePass<ops::Average, B> average_;
  UpdatePass<ops::Descend, B> descend_;
  UpdatesByDtype<Adafactor> updates_;
};

}  // namespace cria
