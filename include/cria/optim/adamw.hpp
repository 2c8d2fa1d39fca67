#pragma once

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cria/nn/module.hpp"
#include "cria/ops/adamw.hpp"
#include "cria/ops/cast.hpp"

namespace cria {

/// AdamW: Adam with decoupled weight decay. Loshchilov & Hutter 2019.
///   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
///   x = x - lr decay x - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
/// Moments are kept in acc_t<T>. 16-bit parameters get a float master copy, without which updates below a
/// parameter's rounding step would be lost.
class AdamW {
 public:
  struct Options {
    double learning_rate = 1e-3;
    double beta1 = 0.9;
    double beta2 = 0.95;
    double epsilon = 1e-8;
    double weight_decay = 0.1;
    /// Which parameters decay; by default matrices do, norms and biases do not.
    std::function<bool(std::string_view, const Shape&)> decay = [](std::string_view, const Shape& shape) {
      return shape.rank() >= 2;
    };
  };

  /// Optimises the parameters of `model`, whose handles it keeps.
  template <class M>
  explicit AdamW(M& model, Options options) : options_(std::move(options)) {
    nn::for_each_parameter(model, [&]<class T, class B>(const std::string& name, Parameter<T, B>& parameter) {
      const bool decays = options_.decay(name, parameter.shape());
      auto& group = decays ? decayed_ : not_decayed_;
      ++group.tensors;
      group.values += parameter.size();
      slots_.push_back(std::make_unique<Slot<T, B>>(name, parameter, decays));
    });
  }

  /// How many tensors and values decay, or do not.
  struct Group {
    std::int64_t tensors = 0;
    std::int64_t values = 0;
  };
  Group decayed() const { return decayed_; }
  Group not_decayed() const { return not_decayed_; }

  double learning_rate() const { return options_.learning_rate; }
  void set_learning_rate(double learning_rate) { options_.learning_rate = learning_rate; }

  /// Steps taken: the t of the formula.
  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }

  /// Updates all parameters, then clears their gradients. Throws AutogradError, by name, for a parameter that
  /// got no gradient (a field left out of the computation), and then changes nothing.
  void step() {
    for (const auto& slot : slots_) slot->check_gradient();
    ++steps_;
    ops::AdamWStep step{options_.learning_rate,
                        options_.beta1,
                        options_.beta2,
                        options_.epsilon,
                        0.0,
                        1.0 - std::pow(options_.beta1, static_cast<double>(steps_)),
                        1.0 - std::pow(options_.beta2, static_cast<double>(steps_))};
    for (const auto& slot : slots_) {
      step.decay = slot->decays ? options_.learning_rate * options_.weight_decay : 0.0;
      slot->step(step);
    }
    detail::end_of_operation("adamw");
  }

  /// Moments and master copies by name, sharing their memory: what is saved and loaded, with steps().
  std::vector<NamedTensor> state_dict() const {
    std::vector<NamedTensor> state;
    for (const auto& slot : slots_) slot->append_state(state);
    return state;
  }

  /// Takes the parameters' present values as master copies, after they were changed by hand.
  void reset_master_copies() {
    for (const auto& slot : slots_) slot->reset_master_copy();
  }

 private:
  /// One parameter's share of the optimiser, behind an interface without its dtype and backend.
  struct AnySlot {
    std::string name;
    bool decays;

    AnySlot(std::string parameter_name, bool with_decay)
        : name(std::move(parameter_name)), decays(with_decay) {}
    virtual ~AnySlot() = default;
    virtual void check_gradient() const = 0;
    virtual void step(const ops::AdamWStep& step) = 0;
    virtual void append_state(std::vector<NamedTensor>& state) const = 0;
    virtual void reset_master_copy() = 0;
  };

  template <class T, class B>
  struct Slot final : AnySlot {
    using A = acc_t<T>;
    Parameter<T, B> parameter;
    Tensor<A, B> first, second;
    Tensor<A, B> master;  // undefined if T is A

    Slot(const std::string& parameter_name, const Parameter<T, B>& p, bool with_decay)
        : AnySlot(parameter_name, with_decay),
          parameter(p),
          first(Tensor<A, B>::zeros(p.shape())),
          second(Tensor<A, B>::zeros(p.shape())) {
      reset_master_copy();
    }

    void check_gradient() const override {
      if (parameter.has_grad()) return;
      throw AutogradError("AdamW: the parameter '" + this->name +
                          "' got no gradient; every parameter must take part " + "in the loss");
    }
    void step(const ops::AdamWStep& s) override {
      const Tensor<A, B> gradient = parameter.grad();
      kernel_for<ops::AdamW, B>::step(s, std::as_const(gradient).vec(), parameter.value().vec(),
                                      master.defined() ? master.vec() : Vec<A>{}, first.vec(), second.vec());
      parameter.clear_grad();
    }
    void append_state(std::vector<NamedTensor>& state) const override {
      if (master.defined()) state.push_back(named_tensor(this->name + ".master", master));
      state.push_back(named_tensor(this->name + ".first_moment", first));
      state.push_back(named_tensor(this->name + ".second_moment", second));
    }
    void reset_master_copy() override {
      if constexpr (!std::is_same_v<T, A>) {
        const NoGrad guard;
        master = cast<A>(parameter.value());
      }
    }
  };

  Options options_;
  std::vector<std::unique_ptr<AnySlot>> slots_;
  Group decayed_, not_decayed_;
  std::int64_t steps_ = 0;
};

}  // namespace cria
