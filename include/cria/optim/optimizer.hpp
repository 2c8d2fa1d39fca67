#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cria/backend/cpu/update.hpp"
#include "cria/core/check.hpp"
#include "cria/core/scratch_memory.hpp"
#include "cria/optim/parameter_groups.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/update.cuh"
#endif

namespace cria {

/// Whether a parameter decays by default: matrices do, norms and biases do not.
inline double decay_matrices(std::string_view, const Shape& shape) {
  return shape.rank() >= 2 ? 1.0 : 0.0;
}

/// The learning rate's factor by default.
inline double full_rate(std::string_view, const Shape&) {
  return 1.0;
}

/// Updates the parameters of a model. B: the backend of all parameters.
template <class B>
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(Optimizer&&) = default;

  /// How many tensors and values decay, or do not, of those that are not frozen.
  struct Counts {
    std::int64_t tensors = 0;
    std::int64_t values = 0;
  };
  Counts decayed() const { return count(true); }
  Counts not_decayed() const { return count(false); }

  double learning_rate() const { return learning_rate_; }
  /// Throws ConfigError if it is negative or no number.
  void set_learning_rate(double learning_rate) {
    check::not_negative(name_, "learning_rate", learning_rate);
    learning_rate_ = learning_rate;
  }

  /// Updates all parameters that are not frozen, then clears the gradients. If one of the gradients is not
  /// finite, it clears them and changes nothing else. Throws AutogradError, by name, for a parameter that
  /// got no gradient unless the option missing_gradient allows it, and for one that has one but that no
  /// module lists; ConfigError unless loss_scale is positive and max_norm 0 or more, and in the first step if
  /// all matrices of the model and their gradients are 0; and then changes nothing. On a device the host does
  /// not wait, but in the first step for a matrix's values.
  ///
  /// What is clipped is the norm that `sums_of_squares` tells: of the optimiser's own gradients by default;
  /// where it has a part of a model, of which other processes have the rest, of all (ParameterOwners).
  void step(const GradientScaling& scaling = {},
            const std::function<Tensor<double, B>(const ParameterGroups<B>&)>& sums_of_squares =
                &ParameterGroups<B>::sums_of_squares) {
    check::option(scaling.loss_scale > 0, name_, "loss_scale", scaling.loss_scale, "it must be positive");
    check::option(scaling.max_norm >= 0, name_, "max_norm", scaling.max_norm, "it must be 0 or more");
    groups_.check_all_listed(name_);
    groups_.complete_gradients(missing_gradient_, name_);
    if (!is_checked_) groups_.check_initialized(name_);
    is_checked_ = true;
    groups_.create_state();
    const Tensor<double, B> sums = sums_of_squares(groups_);
    begin(scaling, sums.vec());
    detail::end_of_operation("gradient_norm");
    update();
    groups_.clear_gradients();
    detail::end_of_operation(name_);
  }

  /// The norm of the last step's gradients, unscaled but not clipped; not finite if the step was left out.
  /// Waits for the device, as steps() does.
  double gradient_norm() const { return state().gradient_norm; }

  /// Steps taken, without those that were left out: the t of the formula.
  std::int64_t steps() const { return state().steps; }
  /// Throws ConfigError if `steps` is negative.
  void set_steps(std::int64_t steps) {
    check::option(steps >= 0, name_, "steps", steps, "it must be at least 0");
    restore_steps(steps);
  }

  /// State and master copies by name, sharing their memory: what is saved and loaded, with steps().
  std::vector<NamedTensor> state_dict() const { return groups_.state_dict(); }

 protected:
  /// Optimises the parameters of `model`, whose handles it keeps. Options has learning_rate, weight_decay,
  /// weight_decay_factor and learning_rate_factor (functions of a parameter's name and shape) and
  /// missing_gradient, whose error calls the optimiser by `name`. Throws ConfigError if a parameter is listed
  /// twice, if none is trained, if the learning rate, the weight decay or a factor of them is negative or no
  /// number, or if one of the functions is empty.
  template <class M, class Options>
  Optimizer(std::string_view name, M& model, const Options& options)
      : groups_(model),
        name_(name),
        learning_rate_(options.learning_rate),
        weight_decay_(options.weight_decay),
        missing_gradient_(options.missing_gradient) {
    groups_.check_trained(name);
    check::not_negative(name, "learning_rate", options.learning_rate);
    check::not_negative(name, "weight_decay", options.weight_decay);
    const auto factor = [&](std::string_view option, const auto& function, const AnySlot& slot) {
      const double value = function(slot.name, slot.shape());
      check::not_negative(name, option, value);
      return value;
    };
    constexpr std::string_view arguments = "a parameter's name and shape";
    check::function(name, "weight_decay_factor", options.weight_decay_factor, arguments);
    check::function(name, "learning_rate_factor", options.learning_rate_factor, arguments);
    for (const auto& slot : groups_.slots()) {
      slot->weight_decay_factor = factor("weight_decay_factor", options.weight_decay_factor, *slot);
      slot->learning_rate_factor = factor("learning_rate_factor", options.learning_rate_factor, *slot);
    }
  }

  /// Counts a step unless `sums`, which make the sum of all gradients' squares, are not finite.
  virtual void begin(const GradientScaling& scaling, Vec<const double> sums) = 0;
  /// Updates what has a gradient, unless the step does not count.
  virtual void update() = 0;
  virtual ops::StepState state() const = 0;
  virtual void restore_steps(std::int64_t steps) = 0;

  double weight_decay() const { return weight_decay_; }

  ParameterGroups<B> groups_;

 private:
  Counts count(bool decays) const {
    Counts counts;
    for (const auto& slot : groups_.slots()) {
      if ((slot->weight_decay_factor > 0) != decays || !slot->requires_grad()) continue;
      ++counts.tensors;
      counts.values += slot->shape().size();
    }
    return counts;
  }

  std::string_view name_;
  double learning_rate_, weight_decay_;
  MissingGradient missing_gradient_;
  bool is_checked_ = false;  // that the model was initialised
};

/// A rule of core/update_rules.hpp, and what its steps keep in the backend's memory.
template <class Rule, class B>
class UpdatePass {
  using K = kernel_for<ops::Update<Rule>, B>;

 public:
  explicit UpdatePass(const Rule& rule)
      : rule_(rule), state_(std::make_unique<ScratchMemory<ops::UpdateState<Rule>, B>>(1)) {
    set_steps(0);
  }

  /// Counts a step unless `sums`, which make the sum of all gradients' squares, are not finite.
  void begin(const GradientScaling& scaling, Vec<const double> sums) {
    K::begin(rule_, scaling, sums, state_->data());
  }
  /// Does nothing if the step does not count.
  template <class T>
  void operator()(const std::vector<ops::UpdateTensor<Rule, T>>& tensors) {
    K::step(std::span<const ops::UpdateTensor<Rule, T>>(tensors), state_->data());
  }

  ops::StepState state() const {
    ops::UpdateState<Rule> state;
    B::copy_to_host(&state, state_->data(), sizeof(state));
    return state;
  }
  void set_steps(std::int64_t steps) {
    ops::UpdateState<Rule> state;
    state.steps = steps;
    B::copy_from_host(state_->data(), &state, sizeof(state));
  }

 private:
  Rule rule_;
  std::unique_ptr<ScratchMemory<ops::UpdateState<Rule>, B>> state_;
};

/// Calls update_parameters<T>() of an optimiser for each dtype that a model's parameters have.
template <class Self>
class UpdatesByDtype {
 public:
  template <class M>
  explicit UpdatesByDtype(M& model) {
    nn::for_each_parameter(model, [&]<class T, class B>(const std::string&, const Parameter<T, B>&) {
      updates_[dtype_name<T>] = [](Self& self) { self.template update_parameters<T>(); };
    });
  }
  void operator()(Self& self) const {
    for (const auto& update : updates_) update.second(self);
  }

 private:
  std::map<std::string_view, void (*)(Self&)> updates_;
};

/// An optimiser that is a formula on each element. AdamW, SGD and the others are this with their rule and
/// their options (optim/lion.hpp is the pattern for another one).
template <class Rule, class B>
class RuleOptimizer : public Optimizer<B> {
 public:
  /// Throws what Optimizer does. A frozen parameter gets no state before it is trained.
  template <class M, class Options>
  RuleOptimizer(std::string_view name, M& model, const Rule& rule, const Options& options)
      : Optimizer<B>(name, model, options), pass_(rule), updates_(model) {
    for (const auto& slot : this->groups_.slots()) {
      for (const std::string_view state : Rule::state) slot->wanted_state.push_back({state, slot->shape()});
    }
    this->groups_.create_state();
  }

 private:
  friend UpdatesByDtype<RuleOptimizer>;

  void begin(const GradientScaling& scaling, Vec<const double> sums) override { pass_.begin(scaling, sums); }
  void update() override { updates_(*this); }
  ops::StepState state() const override { return pass_.state(); }
  void restore_steps(std::int64_t steps) override { pass_.set_steps(steps); }

  template <class T>
  void update_parameters() {
    std::vector<ops::UpdateTensor<Rule, T>> tensors;
    for (auto* slot : this->groups_.template updated<T>()) {
      tensors.push_back(
          slot->template operands<Rule>(slot->gradient(), this->learning_rate(), this->weight_decay()));
    }
    pass_(tensors);
  }

  UpdatePass<Rule, B> pass_;
  UpdatesByDtype<RuleOptimizer> updates_;
};

}  // namespace cria
