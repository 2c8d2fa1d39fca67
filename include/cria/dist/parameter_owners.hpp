#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <numeric>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "cria/core/error.hpp"
#include "cria/dist/communicator.hpp"
#include "cria/nn/module.hpp"
#include "cria/optim/parameter_groups.hpp"

namespace cria {

template <class M>
struct OwnParameters;

/// Which of several processes that train a model owns which of its parameters. The owner sums up the processes'
/// gradients of a parameter. Where processes share the optimiser's state as well, the owner alone has a
/// parameter's state and its master copy, and updates it for all (ZeRO stage 1, Rajbhandari et al. 2020):
///
///   Mpi processes;
///   const ParameterOwners owners(processes, model);
///   auto own = owners.parameters_of(model);
///   AdamW optimizer(own, {.learning_rate = 1e-3});  // state of what this process owns
///   TrainStep step(model, batch, {.processes = &processes, .owners = &owners});
///
/// A parameter has one owner, so that any optimiser may look at it as a whole. The largest is given to the
/// process that has least by then, and so on: shares differ by less than the largest parameter's size.
class ParameterOwners {
 public:
  /// For a model that has the same parameters in all processes, and the same of them frozen. `processes` must
  /// outlive this object. Throws ConfigError if the model lists a parameter twice, or if the number of
  /// processes is no power of two.
  template <class M>
  ParameterOwners(Communicator& processes, const M& model) : processes_(&processes) {
    detail::check_processes(processes.size());
    nn::check_listed_once(model);
    nn::for_each_parameter(model, [&]<class T, class B>(const std::string& name,
                                                        const Parameter<T, B>& parameter) {
      numbers_[name] = parameters_.size();
      parameters_.push_back({parameter.size(), parameter.requires_grad(), std::is_same_v<acc_t<T>, double>});
    });
    give();
  }

  Communicator& processes() const { return *processes_; }

  /// The rank of the process that owns a parameter.
  int owner(const std::string& name) const { return parameters_[numbers_.at(name)].owner; }
  bool is_own(const std::string& name) const { return owner(name) == processes_->rank(); }

  /// A module of those parameters of `model` that this process owns, under their names in the model: for an
  /// optimiser. Both must outlive it. Throws ConfigError if a process owns none that is trained.
  template <class M>
  OwnParameters<M> parameters_of(M& model) const {
    std::vector<std::int64_t> trained(static_cast<std::size_t>(processes_->size()));
    for (const auto& parameter : parameters_) {
      if (parameter.is_trained) ++trained[static_cast<std::size_t>(parameter.owner)];
    }
    if (std::ranges::find(trained, 0) != trained.end()) {
      throw ConfigError("the model has " + std::to_string(std::reduce(trained.begin(), trained.end())) +
                        " parameters that are trained, which " + std::to_string(processes_->size()) +
                        " processes cannot share; each needs one at least");
    }
    return {model, this};
  }

  /// Sums of the squares of all gradients, of which each process has its own parameters': for
  /// Optimizer::step. To the last bit those that ParameterGroups has of the whole model.
  Tensor<double, Cpu> sums_of_squares(const ParameterGroups<Cpu>& own) const {
    std::vector<double> sums(parameters_.size()), others(sums.size());
    for (const auto& slot : own.slots()) {
      if (slot->is_updated()) sums[numbers_.at(slot->name)] = own.sum_of_squares(*slot);
    }
    // Each is a number in one process and 0 in the others.
    for (int group = 1; group < processes_->size(); group *= 2) {
      processes_->exchange(processes_->rank() ^ group, std::as_bytes(std::span(sums)),
                           std::as_writable_bytes(std::span(others)));
      std::ranges::transform(sums, others, sums.begin(), std::plus<>());
    }
    std::vector<double> totals(2);  // of gradients in float and in double
    for (std::size_t i = 0; i < sums.size(); ++i) totals[parameters_[i].is_double ? 1 : 0] += sums[i];
    return Tensor<double, Cpu>::from({2}, totals);
  }

 private:
  struct Owned {
    std::int64_t size;
    bool is_trained, is_double;  // its gradient is kept in double
    int owner = 0;
  };

  void give() {
    std::vector<std::size_t> order(parameters_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
      const Owned &x = parameters_[a], &y = parameters_[b];
      return x.is_trained != y.is_trained ? x.is_trained : x.size > y.size;
    });
    std::vector<std::int64_t> shares(static_cast<std::size_t>(processes_->size()));
    for (const std::size_t number : order) {
      Owned& parameter = parameters_[number];
      const auto least = std::ranges::min_element(shares);
      parameter.owner = static_cast<int>(least - shares.begin());
      *least += std::max<std::int64_t>(parameter.size, 1);
    }
  }

  Communicator* processes_;
  std::map<std::string, std::size_t> numbers_;  // of the parameters, in the order of the model
  std::vector<Owned> parameters_;
};

/// Those parameters of a model that this process owns, a module (ParameterOwners::parameters_of), or all of
/// them.
template <class M>
struct OwnParameters {
  M& model;
  const ParameterOwners* owners = nullptr;  // null: this process owns all

  static void visit(auto& self, auto&& field) {
    nn::for_each_parameter(self.model, [&](const std::string& name, auto& parameter) {
      if (!self.owners || self.owners->is_own(name)) field(name, parameter);
    });
  }
};

}  // namespace cria
