#pragma once

#include <cstdint>
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
inline bool is_matrix(std::string_view, const Shape& shape) {
  return shape.rank() >= 2;
}

/// The learning rate's factor by default.
inline double full_rate(std::string_view, const Shape&) {
  return 1.0;
}

/// Updates the parameters of a model by a rule of core/update_rules.hpp. AdamW, Sgd and Lion are this with
/// their rule and their options (optim/lion.hpp is the pattern for another one). B: the backend of all
/// parameters.
template <class Rule, class B>
class Optimizer {
 public:
  /// Optimises the parameters of `model`, whose handles it keeps. Options has learning_rate, weight_decay,
  /// decay and learning_rate_factor (functions of a parameter's name and shape) and missing_gradient, whose
  /// error calls the optimiser by `name`. A frozen parameter gets no state before it is trained. Throws
  /// ConfigError if a parameter is listed twice, if none is trained, if the learning rate, its factor or the
  /// weight decay is negative or no number, or if one of the functions is empty.
  template <class M, class Options>
  Optimizer(std::string_view name, M& model, const Rule& rule, const Options& options)
      : name_(name),
        rule_(rule),
        learning_rate_(options.learning_rate),
        weight_decay_(options.weight_decay),
        missing_gradient_(options.missing_gradient),
        groups_(model, Rule::state),
        state_(std::make_unique<ScratchMemory<ops::UpdateState<Rule>, B>>(1)) {
    groups_.check_trained(name);
    check::not_negative(name, "learning_rate", options.learning_rate);
    check::not_negative(name, "weight_decay", options.weight_decay);
    constexpr std::string_view arguments = "a parameter's name and shape";
    check::function(name, "decay", options.decay, arguments);
    check::function(name, "learning_rate_factor", options.learning_rate_factor, arguments);
    set_steps(0);
    for (const auto& slot : groups_.slots()) {
      slot->decays = options.decay(slot->name, slot->shape());
      slot->learning_rate_factor = options.learning_rate_factor(slot->name, slot->shape());
      check::not_negative(name, "learning_rate_factor", slot->learning_rate_factor);
    }
    groups_.create_state();
    nn::for_each_parameter(model, [&]<class T>(const std::string&, const Parameter<T, B>&) {
      updates_[dtype_name<T>] = [](Optimizer& self) { self.template update<T>(); };
    });
  }

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
  /// got no gradient unless the option missing_gradient allows it, and for one that got one but that no
  /// module lists; ConfigError unless loss_scale is positive and max_norm 0 or more, and then changes
  /// nothing. On a device the host does not wait.
  void step(const GradientScaling& scaling = {}) {
    using K = kernel_for<ops::Update<Rule>, B>;
    check::option(scaling.loss_scale > 0, name_, "loss_scale", scaling.loss_scale, "it must be positive");
    check::option(scaling.max_norm >= 0, name_, "max_norm", scaling.max_norm, "it must be 0 or more");
    groups_.check_all_listed(name_);
    groups_.complete_gradients(missing_gradient_, name_);
    groups_.create_state();
    const Tensor<double, B> sums = groups_.sums_of_squares();
    K::begin(rule_, scaling, sums.vec(), state_->data());
    detail::end_of_operation("gradient_norm");
    for (const auto& update : updates_) update.second(*this);
    groups_.clear_gradients();
    detail::end_of_operation(Rule::name);
  }

  /// The norm of the last step's gradients, unscaled but not clipped; not finite if the step was left out.
  /// Waits for the device, as steps() does.
  double gradient_norm() const { return state().gradient_norm; }

  /// Steps taken, without those that were left out: the t of the formula.
  std::int64_t steps() const { return state().steps; }
  /// Throws ConfigError if `steps` is negative.
  void set_steps(std::int64_t steps) {
    check::option(steps >= 0, name_, "steps", steps, "it must be at least 0");
    const ops::UpdateState<Rule> state{.steps = steps};
    B::copy_from_host(state_->data(), &state, sizeof(state));
  }

  /// State and master copies by name, sharing their memory: what is saved and loaded, with steps().
  std::vector<NamedTensor> state_dict() const { return groups_.state_dict(); }

 private:
  Counts count(bool decays) const {
    Counts counts;
    for (const auto& slot : groups_.slots()) {
      if (slot->decays != decays || !slot->requires_grad()) continue;
      ++counts.tensors;
      counts.values += slot->shape().size();
    }
    return counts;
  }

  /// Updates the parameters of dtype T.
  template <class T>
  void update() {
    std::vector<ops::UpdateTensor<Rule, T>> tensors;
    for (auto* slot : groups_.template updated<T>()) {
      tensors.push_back(slot->template operands<Rule>(learning_rate_, weight_decay_));
    }
    kernel_for<ops::Update<Rule>, B>::step(std::span<const ops::UpdateTensor<Rule, T>>(tensors),
                                           state_->data());
  }

  ops::UpdateState<Rule> state() const {
    ops::UpdateState<Rule> state;
    B::copy_to_host(&state, state_->data(), sizeof(state));
    return state;
  }

  std::string_view name_;
  Rule rule_;
  double learning_rate_, weight_decay_;
  MissingGradient missing_gradient_;
  ParameterGroups<B> groups_;
  std::map<std::string_view, void (*)(Optimizer&)> updates_;  // by dtype, those of the model
  std::unique_ptr<ScratchMemory<ops::UpdateState<Rule>, B>> state_;
};

}  // namespace cria
