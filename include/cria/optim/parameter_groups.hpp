#pragma once
/// What every optimiser needs of a model's parameters, whatever its formula.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
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

/// The gradients of several parameters, by the type that they are kept in.
struct Gradients {
  std::vector<Vec<const float>> floats;
  std::vector<Vec<const double>> doubles;

  void add(Vec<const float> gradient) { floats.push_back(gradient); }
  void add(Vec<const double> gradient) { doubles.push_back(gradient); }
};

/// A tensor of zeros that an optimiser keeps for a parameter.
struct StateTensor {
  std::string_view name;  // which must outlive the optimiser
  Shape shape;
};

/// A parameter of whatever dtype, and what an optimiser keeps for it. What it does is virtual, so that a
/// program compiles it for those dtypes alone that its parameters have.
class AnySlot {
 public:
  AnySlot(std::string slot_name, std::string_view slot_dtype)
      : name(std::move(slot_name)), dtype(slot_dtype) {}
  virtual ~AnySlot() = default;
  AnySlot(const AnySlot&) = delete;
  AnySlot& operator=(const AnySlot&) = delete;

  virtual const Shape& shape() const = 0;
  virtual bool requires_grad() const = 0;
  virtual bool has_grad() const = 0;
  /// Whether a step updates it: it is not frozen and has a gradient.
  bool is_updated() const { return requires_grad() && has_grad(); }

  /// Whether all values are 0, and the gradient where there is one.
  virtual bool is_zero() const = 0;

  virtual void add_gradient(Gradients& all) const = 0;
  virtual void scale_gradient(double factor) = 0;
  virtual void zero_gradient() = 0;
  virtual void clear_gradient() = 0;

  /// The wanted state and the master copy, if the parameter is trained and has none.
  virtual void create_state() = 0;
  /// Adds `<parameter>.master` and `<parameter>.<state>`, sharing their memory.
  virtual void add_state(std::vector<NamedTensor>& all) const = 0;

  const std::string name;
  const std::string_view dtype;  // dtype_name<T>
  double learning_rate_factor = 1.0;
  double weight_decay_factor = 1.0;
  std::vector<StateTensor> wanted_state = {};
};

/// State is kept in acc_t<T>. 16-bit parameters get a float master copy, without which updates below a
/// parameter's rounding step would be lost; where a value is changed between steps (assigned, loaded), the
/// copy follows.
template <class T, class B>
class ParameterSlot final : public AnySlot {
  using A = acc_t<T>;

 public:
  ParameterSlot(std::string slot_name, const Parameter<T, B>& parameter)
      : AnySlot(std::move(slot_name), dtype_name<T>), parameter_(parameter) {}

  const Shape& shape() const override { return parameter_.shape(); }
  bool requires_grad() const override { return parameter_.requires_grad(); }
  bool has_grad() const override { return parameter_.has_grad(); }

  bool is_zero() const override {
    const auto all_zero = [](const auto& x) {
      const auto values = x.to_vector();
      return std::all_of(values.begin(), values.end(), [](auto value) { return static_cast<A>(value) == 0; });
    };
    return all_zero(parameter_.value()) && (!has_grad() || all_zero(parameter_.grad()));
  }

  void add_gradient(Gradients& all) const override { all.add(gradient()); }
  void scale_gradient(double factor) override {
    kernel_for<ops::ScaleInPlace, B>::apply(static_cast<A>(factor), sink(parameter_).vec());
  }
  void zero_gradient() override { parameter_.set_grad(Tensor<A, B>::zeros(shape())); }
  void clear_gradient() override { parameter_.clear_grad(); }

  void create_state() override {
    if (!requires_grad() || has_state_) return;
    for (const auto& wanted : wanted_state) state_.push_back(Tensor<A, B>::zeros(wanted.shape));
    if constexpr (!std::is_same_v<T, A>) {
      const NoGrad guard;
      master_ = cast<A>(parameter_.value());
      version_ = parameter_.value().version();
    }
    has_state_ = true;
  }
  void add_state(std::vector<NamedTensor>& all) const override {
    if (master_.defined()) all.push_back(named_tensor(name + ".master", master_));
    for (std::size_t k = 0; k < state_.size(); ++k) {
      all.push_back(named_tensor(name + "." + std::string(wanted_state[k].name), state_[k]));
    }
  }

  Tensor<A, B>& state(std::size_t k) { return state_[k]; }
  /// The exact values: the master copy, or the parameter's own.
  Tensor<A, B> exact_value() {
    follow_value();
    if constexpr (std::is_same_v<T, A>) return parameter_.value();
    return master_;
  }
  Vec<const A> gradient() const {
    const Tensor<A, B> all = parameter_.grad();
    return all.vec();
  }

  /// What the update by Rule needs, in the direction of `gradient`; the values count as changed.
  template <class Rule>
  ops::UpdateTensor<Rule, T> operands(Vec<const A> gradient, double learning_rate, double weight_decay) {
    follow_value();
    ops::UpdateTensor<Rule, T> all{
        gradient, parameter_.value().mutable_vec(),     master_.defined() ? master_.mutable_vec() : Vec<A>{},
        {},       learning_rate * learning_rate_factor, weight_decay * weight_decay_factor};
    if constexpr (!Rule::state.empty()) {
      for (std::size_t k = 0; k < Rule::state.size(); ++k) all.state[k] = state_[k].mutable_vec();
    }
    version_ = parameter_.value().version();
    return all;
  }

 private:
  /// Where the parameter was changed since the last step, its value becomes the master copy. Where it is what
  /// the copy rounds to, the copy stays: it may have been loaded together with the value.
  void follow_value() {
    if constexpr (!std::is_same_v<T, A>) {
      if (parameter_.value().version() == version_) return;
      const std::vector<T> values = parameter_.value().to_vector();
      std::vector<A> exact = master_.to_vector();
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (static_cast<T>(exact[i]).bits != values[i].bits) exact[i] = static_cast<A>(values[i]);
      }
      master_.assign(exact);
    }
  }

  Parameter<T, B> parameter_;             // a handle
  std::vector<Tensor<A, B>> state_ = {};  // in the order of wanted_state, once the parameter is trained
  bool has_state_ = false;
  Tensor<A, B> master_ = {};   // undefined if T is A
  std::uint64_t version_ = 0;  // of the parameter's values when the master copy was the same
};

/// Handles of all parameters of a model. What it does with gradients it does with those of parameters that
/// are not frozen. B: the backend of all of them.
template <class B>
class ParameterGroups {
 public:
  /// Throws ConfigError if the model lists a parameter twice.
  template <class M>
  explicit ParameterGroups(const M& model) {
    nn::check_listed_once(model);
    nn::for_each_parameter(model, [&]<class T, class P>(const std::string& name,
                                                        const Parameter<T, P>& parameter) {
      static_assert(std::is_same_v<P, B>,
                    "these parameters are of another backend; write AdamW<Backend>, gradient_norm<Backend>");
      slots_.push_back(std::make_unique<ParameterSlot<T, B>>(name, parameter));
    });
  }

  /// In the order of the model.
  const std::vector<std::unique_ptr<AnySlot>>& slots() const { return slots_; }
  /// Those of dtype T that a step updates.
  template <class T>
  std::vector<ParameterSlot<T, B>*> updated() const {
    std::vector<ParameterSlot<T, B>*> all;
    for (const auto& slot : slots_) {
      if (slot->dtype == dtype_name<T> && slot->is_updated()) {
        all.push_back(static_cast<ParameterSlot<T, B>*>(slot.get()));
      }
    }
    return all;
  }

  /// Makes the state of those parameters that are trained and have none yet.
  void create_state() {
    for (const auto& slot : slots_) slot->create_state();
  }

  /// Throws ConfigError if the model lists no parameter, or if all are frozen.
  void check_trained(std::string_view optimizer) const {
    for (const auto& slot : slots_) {
      if (slot->requires_grad()) return;
    }
    throw ConfigError(std::string(optimizer) +
                      (slots_.empty()
                           ? ": the model's visit lists no parameter; at least one is needed"
                           : ": all parameters of the model are frozen; at least one must be trained "
                             "(nn::unfreeze)"));
  }
  /// Throws ConfigError if all matrices of a model are 0 and so are their gradients: those of layers behind
  /// each other then stay what they are for ever. Reads the values up to the first that is not 0.
  void check_initialized(std::string_view optimizer) const {
    std::vector<const AnySlot*> matrices;
    for (const auto& slot : slots_) {
      if (slot->shape().rank() >= 2) matrices.push_back(slot.get());
    }
    const auto is_zero = [](const AnySlot* slot) { return slot->is_zero(); };
    if (matrices.size() < 2 || !std::all_of(matrices.begin(), matrices.end(), is_zero)) return;
    throw ConfigError(
        std::string(optimizer) +
        ": all matrices of the model are zero and so are their gradients, so that no step would "
        "change them; nn::initialize(model, rng) draws what training begins with");
  }
  /// Throws AutogradError if a parameter that no module lists got a gradient on this thread and has it still:
  /// one that `visit` leaves out.
  static void check_all_listed(std::string_view optimizer) {
    const auto& left_out = cria::detail::unlisted_parameter;
    if (!left_out.exists()) return;
    throw AutogradError(
        std::string(optimizer) + ": a parameter of shape " + to_string(left_out.shape) +
        " has a gradient and no module lists it; visit must list every field that has "
        "parameters, and one that is trained by hand is cleared (clear_grad) before the step");
  }

  /// Does about missing gradients of parameters that are not frozen what `missing` says. `optimizer` is
  /// its class, for the message of the AutogradError.
  void complete_gradients(MissingGradient missing, std::string_view optimizer) {
    if (missing == MissingGradient::skip) return;
    const auto is_updated = [](const auto& slot) { return slot->is_updated(); };
    for (const auto& slot : slots_) {
      if (!slot->requires_grad() || slot->has_grad()) continue;
      if (missing == MissingGradient::error && std::none_of(slots_.begin(), slots_.end(), is_updated)) {
        throw AutogradError(
            std::string(optimizer) +
            ": no parameter has a gradient; backward(loss) comes before each step, of a loss that "
            "this model computed");
      }
      if (missing == MissingGradient::error) {
        throw AutogradError(std::string(optimizer) + ": the parameter '" + slot->name +
                            "' got no gradient; every parameter must take part in the loss, unless " +
                            std::string(optimizer) + "Options::missing_gradient is MissingGradient::skip");
      }
      slot->zero_gradient();
    }
  }

  /// The sum of the squares of all gradients, in one part for each type that they are kept in.
  Tensor<double, B> sums_of_squares() const {
    Gradients all;
    for (const auto& slot : slots_) {
      if (slot->is_updated()) slot->add_gradient(all);
    }
    return sums_of(all);
  }

  /// The sum of the squares of the gradient of one slot, which has one.
  static double sum_of_squares(const AnySlot& slot) {
    Gradients one;
    slot.add_gradient(one);
    return sums_of(one).item();
  }

  /// The L2 norm of all gradients as one vector; not finite if one of them is not. Waits for the device.
  double gradient_norm() const {
    double sum = 0;
    for (const double part : sums_of_squares().to_vector()) sum += part;
    return std::sqrt(sum);
  }

  /// Multiplies all gradients by `factor`.
  void scale_gradients(double factor) {
    for (const auto& slot : slots_) {
      if (slot->is_updated()) slot->scale_gradient(factor);
    }
  }

  void clear_gradients() {
    for (const auto& slot : slots_) slot->clear_gradient();
  }

  /// `<parameter>.master` and `<parameter>.<state>` of all parameters that have state, sharing its memory.
  std::vector<NamedTensor> state_dict() const {
    std::vector<NamedTensor> all;
    for (const auto& slot : slots_) slot->add_state(all);
    return all;
  }

 private:
  static Tensor<double, B> sums_of(const Gradients& all) {
    using K = kernel_for<ops::SumOfSquares, B>;
    auto sums = Tensor<double, B>::empty({(all.floats.empty() ? 0 : 1) + (all.doubles.empty() ? 0 : 1)});
    double* next = sums.mutable_vec().data;
    if (!all.floats.empty()) K::sum(std::span<const Vec<const float>>(all.floats), next++);
    if (!all.doubles.empty()) K::sum(std::span<const Vec<const double>>(all.doubles), next);
    return sums;
  }

  std::vector<std::unique_ptr<AnySlot>> slots_;
};

}  // namespace cria
