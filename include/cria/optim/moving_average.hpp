#pragma once

#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cria/core/check.hpp"
#include "cria/nn/module.hpp"
#include "cria/optim/optimizer.hpp"

namespace cria {

/// The exponential moving average of a model's weights over the steps of a training, which often does better
/// than the last of them. Polyak & Juditsky 1992.
///   average = average + (1 - decay) (x - average)
/// It begins with the weights of the moment when it is made, and is kept in acc_t<T>.
///
///   ExponentialMovingAverage average(model, 0.999);
///   for (...) { optimizer.step(); average.update(); }
///   const auto better = average.model();
template <class M, class B = DefaultBackend>
class ExponentialMovingAverage {
 public:
  /// Keeps handles of the parameters of `model`. Throws ConfigError unless decay is in [0, 1), or if a
  /// parameter is listed twice.
  ExponentialMovingAverage(const M& model, double decay)
      : model_(model), decay_(decay), pass_({.power = 0, .weight = 1 - decay}) {
    check::below_one("ExponentialMovingAverage", "decay", decay);
    nn::check_listed_once(model);
    const NoGrad guard;
    nn::for_each_parameter(model_, [&]<class T>(const std::string& name, Parameter<T, B>& parameter) {
      auto& all = averages<acc_t<T>>();
      all.push_back({name, cast<acc_t<T>>(parameter.value()).template to<B>(),
                     [parameter] { return cast<acc_t<T>>(parameter.value()); }});
    });
  }

  /// Lets the weights enter.
  void update() {
    const auto none = Tensor<double, B>::zeros({0});
    pass_.begin({}, none.vec());
    update(floats_);
    update(doubles_);
  }

  double decay() const { return decay_; }

  /// A model of its own whose parameters are the averages; its buffers are the model's.
  M model() const {
    M copy = nn::clone(model_);
    write(copy);
    return copy;
  }

  /// While it lives, the averages are in the place of the model's weights.
  class InPlace {
   public:
    explicit InPlace(std::vector<std::function<void()>> restore) : restore_(std::move(restore)) {}
    InPlace(const InPlace&) = delete;
    InPlace& operator=(const InPlace&) = delete;
    ~InPlace() {
      for (const auto& restore : restore_) restore();
    }

   private:
    std::vector<std::function<void()>> restore_;
  };
  /// To evaluate the averages without another model: `const auto averages = average.in_place();`.
  [[nodiscard]] InPlace in_place() {
    std::vector<std::function<void()>> restore;
    nn::for_each_parameter(model_, [&]<class T>(const std::string&, Parameter<T, B>& parameter) {
      restore.push_back(
          [to = parameter, from = parameter.value().template to<B>()]() mutable { copy(from, to); });
    });
    write(model_);
    return InPlace(std::move(restore));
  }

  /// `<parameter>.average` of all parameters, sharing their memory: what is saved and loaded.
  std::vector<NamedTensor> state_dict() const {
    std::vector<NamedTensor> all;
    for (const auto& average : floats_) all.push_back(named_tensor(average.name + ".average", average.value));
    for (const auto& average : doubles_)
      all.push_back(named_tensor(average.name + ".average", average.value));
    return all;
  }

 private:
  template <class A>
  struct Average {
    std::string name;
    Tensor<A, B> value;
    std::function<Tensor<A, B>()> weights;
  };

  template <class A>
  auto& averages() {
    if constexpr (std::is_same_v<A, float>) {
      return floats_;
    } else {
      return doubles_;
    }
  }
  template <class T>
  static void copy(const Tensor<T, B>& from, Parameter<T, B>& to) {
    B::copy(to.value().mutable_vec().data, from.vec().data,
            static_cast<std::size_t>(from.size()) * sizeof(T));
  }
  /// Gives the averages to `model`, which has the model's parameters or others like them.
  void write(M& model) const {
    const NoGrad guard;
    auto next_float = floats_.begin();
    auto next_double = doubles_.begin();
    nn::for_each_parameter(model, [&]<class T>(const std::string&, Parameter<T, B>& parameter) {
      if constexpr (std::is_same_v<acc_t<T>, float>) {
        copy(cast<T>(next_float++->value), parameter);
      } else {
        copy(cast<T>(next_double++->value), parameter);
      }
    });
  }
  template <class A>
  void update(std::vector<Average<A>>& all) {
    const NoGrad guard;
    std::vector<Tensor<A, B>> weights;  // which live until the update
    std::vector<ops::UpdateTensor<ops::Average, A>> tensors;
    for (auto& average : all) {
      weights.push_back(average.weights());
      tensors.push_back({std::as_const(weights.back()).vec(), average.value.mutable_vec(), {}, {}, 0, 0});
    }
    pass_(tensors);
  }

  M model_;
  double decay_;
  UpdatePass<ops::Average, B> pass_;
  std::vector<Average<float>> floats_;  // of parameters of float and 16-bit types
  std::vector<Average<double>> doubles_;
};

}  // namespace cria
