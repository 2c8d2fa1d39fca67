#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cria/backend/cpu/adamw.hpp"
#include "cria/backend/cpu/gradients.hpp"
#include "cria/core/adamw.hpp"
#include "cria/core/caching_allocator.hpp"
#include "cria/nn/module.hpp"
#include "cria/ops/cast.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/adamw.cuh"
#include "cria/backend/cuda/gradients.cuh"
#endif

namespace cria {

/// What a step does about a parameter that got no gradient.
enum class MissingGradient {
  error,  // it throws AutogradError: as a rule the parameter was left out of the computation by mistake
  skip    // it leaves the parameter and its moments as they are
};

struct AdamWOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;
  /// Which parameters decay; by default matrices do, norms and biases do not.
  std::function<bool(std::string_view, const Shape&)> decay = [](std::string_view, const Shape& shape) {
    return shape.rank() >= 2;
  };
  MissingGradient missing_gradient = MissingGradient::error;
};

/// What a step does to the gradients before it uses them: they are divided by `loss_scale`, then multiplied
/// by min(1, max_norm / (norm + 1e-6)), norm being the L2 norm of all of them; max_norm = 0 clips nothing.
/// Pascanu et al. 2013; PyTorch's formula.
struct GradientScaling {
  double loss_scale = 1.0;
  double max_norm = 0.0;
};

/// AdamW: Adam with decoupled weight decay. Loshchilov & Hutter 2019.
///   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
///   x = x - lr decay x - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
/// Moments are kept in acc_t<T>. 16-bit parameters get a float master copy, without which updates below a
/// parameter's rounding step would be lost; where a value is changed between steps (assigned, loaded), the
/// copy follows. B: the backend of all parameters.
template <class B = DefaultBackend>
class AdamW {
 public:
  /// Optimises the parameters of `model`, whose handles it keeps. Throws ConfigError if one is listed twice.
  template <class M>
  explicit AdamW(M& model, AdamWOptions options = {})
      : options_(std::move(options)), state_(std::make_unique<ScratchMemory<ops::AdamWState, B>>(1)) {
    nn::check_listed_once(model);
    set_steps(0);
    nn::for_each_parameter(model, [&]<class T, class P>(const std::string& name, Parameter<T, P>& parameter) {
      static_assert(std::is_same_v<P, B>,
                    "AdamW<B> optimises parameters of backend B; for another one write AdamW<Backend>");
      const bool decays = options_.decay(name, parameter.shape());
      auto& counts = decays ? decayed_ : not_decayed_;
      ++counts.tensors;
      counts.values += parameter.size();
      group_of<T>().slots.emplace_back(name, parameter, decays);
    });
  }

  /// How many tensors and values decay, or do not.
  struct Counts {
    std::int64_t tensors = 0;
    std::int64_t values = 0;
  };
  Counts decayed() const { return decayed_; }
  Counts not_decayed() const { return not_decayed_; }

  double learning_rate() const { return options_.learning_rate; }
  void set_learning_rate(double learning_rate) { options_.learning_rate = learning_rate; }

  /// Updates all parameters, then clears their gradients. If one of the gradients is not finite, it clears
  /// them and changes nothing else. Throws AutogradError, by name, for a parameter that got no gradient
  /// unless AdamWOptions::missing_gradient allows it, and then changes nothing. On a device the host does not
  /// wait.
  void step(const GradientScaling& scaling = {}) {
    if (options_.missing_gradient == MissingGradient::error) {
      for (const auto& group : groups_) group->check_gradients();
    }
    const ops::AdamWStep step{options_.learning_rate, options_.beta1,     options_.beta2,  options_.epsilon,
                              options_.weight_decay,  scaling.loss_scale, scaling.max_norm};
    const ScratchMemory<double, B> sums(static_cast<std::int64_t>(groups_.size()));
    for (std::size_t i = 0; i < groups_.size(); ++i) groups_[i]->sum_squares(sums.data() + i);
    kernel_for<ops::AdamW, B>::begin(step, sums.vec(), state_->data());
    detail::end_of_operation("gradient_norm");
    for (const auto& group : groups_) group->step(step, state_->data());
    detail::end_of_operation("adamw");
  }

  /// The norm of the last step's gradients, unscaled but not clipped; not finite if the step was left out.
  /// Waits for the device, as steps() does.
  double gradient_norm() const { return state().gradient_norm; }

  /// Steps taken, without those that were left out: the t of the formula.
  std::int64_t steps() const { return state().steps; }
  void set_steps(std::int64_t steps) {
    const ops::AdamWState state{.steps = steps};
    B::copy_from_host(state_->data(), &state, sizeof(state));
  }

  /// Moments and master copies by name, sharing their memory: what is saved and loaded, with steps().
  std::vector<NamedTensor> state_dict() const {
    std::vector<NamedTensor> state;
    for (const auto& group : groups_) group->append_state(state);
    return state;
  }

 private:
  /// The parameters of one dtype, behind an interface without it.
  struct AnyGroup {
    virtual ~AnyGroup() = default;
    virtual std::string_view dtype() const = 0;
    virtual void check_gradients() const = 0;
    virtual void sum_squares(double* sum) const = 0;
    virtual void step(const ops::AdamWStep& step, const ops::AdamWState* state) = 0;
    virtual void append_state(std::vector<NamedTensor>& state) const = 0;
  };

  template <class T>
  struct Slot {
    using A = acc_t<T>;
    std::string name;
    Parameter<T, B> parameter;
    Tensor<A, B> first, second;
    Tensor<A, B> master;    // undefined if T is A
    std::uint64_t version;  // of the parameter's values when the master copy was the same
    bool decays;

    Slot(const std::string& parameter_name, const Parameter<T, B>& p, bool with_decay)
        : name(parameter_name),
          parameter(p),
          first(Tensor<A, B>::zeros(p.shape())),
          second(Tensor<A, B>::zeros(p.shape())),
          version(p.value().version()),
          decays(with_decay) {
      if constexpr (!std::is_same_v<T, A>) {
        const NoGrad guard;
        master = cast<A>(p.value());
      }
    }

    Vec<const A> gradient() const {
      const Tensor<A, B> all = parameter.grad();
      return all.vec();
    }
    /// Where the parameter was changed since the last step, its value becomes the master copy. Where it is
    /// what the copy rounds to, the copy stays: it may have been loaded together with the value.
    void follow_value() {
      if constexpr (!std::is_same_v<T, A>) {
        if (parameter.value().version() == version) return;
        const std::vector<T> values = parameter.value().to_vector();
        std::vector<A> exact = master.to_vector();
        for (std::size_t i = 0; i < values.size(); ++i) {
          if (static_cast<T>(exact[i]).bits != values[i].bits) exact[i] = static_cast<A>(values[i]);
        }
        master.assign(exact);
      }
    }
    ops::AdamWTensor<T> operands() {
      follow_value();
      const ops::AdamWTensor<T> all{gradient(),
                                    parameter.value().mutable_vec(),
                                    master.defined() ? master.mutable_vec() : Vec<A>{},
                                    first.mutable_vec(),
                                    second.mutable_vec(),
                                    decays};
      version = parameter.value().version();
      return all;
    }
  };

  template <class T>
  struct Group final : AnyGroup {
    std::vector<Slot<T>> slots;

    std::string_view dtype() const override { return dtype_name<T>; }
    void check_gradients() const override {
      for (const auto& slot : slots) {
        if (slot.parameter.has_grad()) continue;
        throw AutogradError("AdamW: the parameter '" + slot.name +
                            "' got no gradient; every parameter must take part in the loss, unless "
                            "AdamWOptions::missing_gradient is MissingGradient::skip");
      }
    }
    void sum_squares(double* sum) const override {
      std::vector<Vec<const acc_t<T>>> gradients;
      for (const auto& slot : slots) {
        if (slot.parameter.has_grad()) gradients.push_back(slot.gradient());
      }
      kernel_for<ops::SumOfSquares, B>::sum(std::span<const Vec<const acc_t<T>>>(gradients), sum);
    }
    void step(const ops::AdamWStep& s, const ops::AdamWState* state) override {
      std::vector<ops::AdamWTensor<T>> tensors;
      for (auto& slot : slots) {
        if (slot.parameter.has_grad()) tensors.push_back(slot.operands());
      }
      kernel_for<ops::AdamW, B>::step(s, std::span<const ops::AdamWTensor<T>>(tensors), state);
      for (auto& slot : slots) slot.parameter.clear_grad();
    }
    void append_state(std::vector<NamedTensor>& state) const override {
      for (const auto& slot : slots) {
        if (slot.master.defined()) state.push_back(named_tensor(slot.name + ".master", slot.master));
        state.push_back(named_tensor(slot.name + ".first_moment", slot.first));
        state.push_back(named_tensor(slot.name + ".second_moment", slot.second));
      }
    }
  };

  template <class T>
  Group<T>& group_of() {
    for (const auto& group : groups_) {
      if (group->dtype() == dtype_name<T>) return static_cast<Group<T>&>(*group);
    }
    auto made = std::make_unique<Group<T>>();
    Group<T>& group = *made;
    groups_.push_back(std::move(made));
    return group;
  }

  ops::AdamWState state() const {
    ops::AdamWState state;
    B::copy_to_host(&state, state_->data(), sizeof(state));
    return state;
  }

  AdamWOptions options_;
  std::vector<std::unique_ptr<AnyGroup>> groups_;
  std::unique_ptr<ScratchMemory<ops::AdamWState, B>> state_;
  Counts decayed_, not_decayed_;
};

}  // namespace cria
