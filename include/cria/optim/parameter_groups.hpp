#pragma once
/// What every optimiser needs of a model's parameters, whatever its formula.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "cria/backend/cpu/gradients.hpp"
#include "cria/core/update_rules.hpp"
#include "cria/nn/module.hpp"
#include "cria/ops/cast.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/gradients.cuh"
#endif

namespace cria {

/// What a step does about a parameter that is trained and got no gradient.
enum class MissingGradient {
  error,  // it throws AutogradError: as a rule the parameter was left out of the computation by mistake
  skip,   // it leaves the parameter and its state as they are
  zero    // it goes on as if the gradient were zero: momentum moves the parameter, and it decays
};

/// A parameter, and what an optimiser keeps for it. State is kept in acc_t<T>. 16-bit parameters get a float
/// master copy, without which updates below a parameter's rounding step would be lost; where a value is
/// changed between steps (assigned, loaded), the copy follows.
template <class T, class B>
struct ParameterSlot {
  using A = acc_t<T>;

  std::string name;
  Parameter<T, B> parameter;  // a handle
  bool decays = false;
  double learning_rate_factor = 1.0;
  std::vector<Tensor<A, B>> state = {};  // empty until the parameter is trained
  Tensor<A, B> master = {};              // undefined if T is A
  std::uint64_t version = 0;             // of the parameter's values when the master copy was the same

  /// Whether a step updates it: it is not frozen and has a gradient.
  bool is_updated() const { return parameter.requires_grad() && parameter.has_grad(); }

  Vec<const A> gradient() const {
    const Tensor<A, B> all = parameter.grad();
    return all.vec();
  }

  /// State of `count` zeros for each element, and the master copy, if the parameter is trained and has none.
  void create_state(std::size_t count) {
    if (!parameter.requires_grad() || !state.empty()) return;
    for (std::size_t k = 0; k < count; ++k) state.push_back(Tensor<A, B>::zeros(parameter.shape()));
    if constexpr (!std::is_same_v<T, A>) {
      const NoGrad guard;
      master = cast<A>(parameter.value());
      version = parameter.value().version();
    }
  }

  /// What the update by Rule needs; the values count as changed.
  template <class Rule>
  ops::UpdateTensor<Rule, T> operands(double learning_rate, double weight_decay) {
    follow_value();
    ops::UpdateTensor<Rule, T> all{
        gradient(), parameter.value().mutable_vec(),      master.defined() ? master.mutable_vec() : Vec<A>{},
        {},         learning_rate * learning_rate_factor, decays ? weight_decay : 0.0};
    for (std::size_t k = 0; k < state.size(); ++k) all.state[k] = state[k].mutable_vec();
    version = parameter.value().version();
    return all;
  }

 private:
  /// Where the parameter was changed since the last step, its value becomes the master copy. Where it is what
  /// the copy rounds to, the copy stays: it may have been loaded together with the value.
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
};

/// Handles of all parameters of a model, by dtype. What it does with gradients it does with those of
/// parameters that are not frozen. B: the backend of all of them.
template <class B>
class ParameterGroups {
 public:
  /// `state_names`: what an optimiser keeps for each parameter; they must outlive this object. Throws
  /// ConfigError if the model lists a parameter twice.
  template <class M>
  explicit ParameterGroups(const M& model, std::span<const std::string_view> state_names = {})
      : state_names_(state_names) {
    nn::check_listed_once(model);
    nn::for_each_parameter(model, [&]<class T, class P>(const std::string& name,
                                                        const Parameter<T, P>& parameter) {
      static_assert(std::is_same_v<P, B>,
                    "these parameters are of another backend; write AdamW<Backend>, gradient_norm<Backend>");
      std::get<Group<T>>(groups_).push_back({name, parameter});
    });
  }

  /// Calls f(slots) for the parameters of each dtype that has some.
  template <class F>
  void for_each_group(F f) {
    visit_groups(groups_, f);
  }
  template <class F>
  void for_each_group(F f) const {
    visit_groups(groups_, f);
  }
  /// Calls f(slot) for each parameter.
  template <class F>
  void for_each_slot(F f) {
    for_each_group([&](auto& slots) {
      for (auto& slot : slots) f(slot);
    });
  }
  template <class F>
  void for_each_slot(F f) const {
    for_each_group([&](const auto& slots) {
      for (const auto& slot : slots) f(slot);
    });
  }

  /// Makes the state of those parameters that are trained and have none yet.
  void create_state() {
    for_each_slot([&](auto& slot) { slot.create_state(state_names_.size()); });
  }

  /// Does about missing gradients of parameters that are not frozen what `missing` says. `optimizer` is
  /// its class, for the message of the AutogradError.
  void complete_gradients(MissingGradient missing, std::string_view optimizer) {
    if (missing == MissingGradient::skip) return;
    for_each_slot([&]<class T>(ParameterSlot<T, B>& slot) {
      if (!slot.parameter.requires_grad() || slot.parameter.has_grad()) return;
      if (missing == MissingGradient::error) {
        throw AutogradError(std::string(optimizer) + ": the parameter '" + slot.name +
                            "' got no gradient; every parameter must take part in the loss, unless " +
                            std::string(optimizer) + "Options::missing_gradient is MissingGradient::skip");
      }
      slot.parameter.set_grad(Tensor<acc_t<T>, B>::zeros(slot.parameter.shape()));
    });
  }

  /// The sum of the squares of all gradients, in one part for each type that they are kept in.
  Tensor<double, B> sums_of_squares() const {
    using K = kernel_for<ops::SumOfSquares, B>;
    const auto floats = gradients<float>();
    const auto doubles = gradients<double>();
    auto sums = Tensor<double, B>::empty({(floats.empty() ? 0 : 1) + (doubles.empty() ? 0 : 1)});
    double* next = sums.mutable_vec().data;
    if (!floats.empty()) K::sum(std::span<const Vec<const float>>(floats), next++);
    if (!doubles.empty()) K::sum(std::span<const Vec<const double>>(doubles), next);
    return sums;
  }

  /// The L2 norm of all gradients as one vector; not finite if one of them is not. Waits for the device.
  double gradient_norm() const {
    double sum = 0;
    for (const double part : sums_of_squares().to_vector()) sum += part;
    return std::sqrt(sum);
  }

  /// Multiplies all gradients by `factor`.
  void scale_gradients(double factor) {
    for_each_slot([&]<class T>(ParameterSlot<T, B>& slot) {
      if (!slot.is_updated()) return;
      kernel_for<ops::ScaleInPlace, B>::apply(static_cast<acc_t<T>>(factor), sink(slot.parameter).vec());
    });
  }

  void clear_gradients() {
    for_each_slot([](auto& slot) { slot.parameter.clear_grad(); });
  }

  /// `<parameter>.master` and `<parameter>.<state>` of all parameters that have state, sharing its memory.
  std::vector<NamedTensor> state_dict() const {
    std::vector<NamedTensor> all;
    for_each_slot([&](const auto& slot) {
      if (slot.master.defined()) all.push_back(named_tensor(slot.name + ".master", slot.master));
      for (std::size_t k = 0; k < slot.state.size(); ++k) {
        all.push_back(named_tensor(slot.name + "." + std::string(state_names_[k]), slot.state[k]));
      }
    });
    return all;
  }

 private:
  template <class T>
  using Group = std::vector<ParameterSlot<T, B>>;

  static void visit_groups(auto& groups, auto& f) {
    const auto visit = [&](auto& slots) {
      if (!slots.empty()) f(slots);
    };
    std::apply([&](auto&... slots) { (visit(slots), ...); }, groups);
  }

  /// Those that are kept in A.
  template <class A>
  std::vector<Vec<const A>> gradients() const {
    std::vector<Vec<const A>> all;
    for_each_slot([&]<class T>(const ParameterSlot<T, B>& slot) {
      if constexpr (std::is_same_v<acc_t<T>, A>) {
        if (slot.is_updated()) all.push_back(slot.gradient());
      }
    });
    return all;
  }

  std::tuple<Group<float>, Group<double>, Group<bfloat16>, Group<float16>> groups_;
  std::span<const std::string_view> state_names_;
};

}  // namespace cria
