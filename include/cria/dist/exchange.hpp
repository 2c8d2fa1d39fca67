#pragma once

#include <optional>

#include "cria/dist/parameter_owners.hpp"
#include "cria/dist/sum_gradients.hpp"

namespace cria {

/// How a training step exchanges what is on backend B with other processes. There is one for the CPU, and one
/// for GPUs in programs that link cria::nccl (dist/nccl.hpp).
template <class B>
class Exchange {
 public:
  static constexpr bool is_possible = false;
};

/// On the CPU, along a tree of processes (dist/sum_gradients.hpp).
template <>
class Exchange<Cpu> {
 public:
  static constexpr bool is_possible = true;

  /// Processes that share the optimiser have `owners`. Throws what ParameterOwners does.
  template <class M>
  Exchange(const M& model, Communicator& processes, const ParameterOwners* owners, bool as_bfloat16)
      : shared_(owners), as_bfloat16_(as_bfloat16) {
    if (!owners) of_sums_.emplace(processes, model);
  }

  /// All processes get the sums of their gradients of `model`; where they share the optimiser, each of its
  /// own parameters alone.
  template <class M>
  void sum_gradients(M& model) const {
    const auto sum = [&]<class Exchanged>(Exchanged) {
      if (shared_) return sum_own_gradients<Exchanged>(*shared_, model);
      cria::sum_gradients<Exchanged>(*of_sums_, model);
    };
    as_bfloat16_ ? sum(bfloat16()) : sum(float());
  }
  /// For Optimizer::step where processes share the optimiser: of all gradients.
  Tensor<double, Cpu> sums_of_squares(const ParameterGroups<Cpu>& own) const {
    return shared_->sums_of_squares(own);
  }
  /// And after it: all processes get the values of all parameters.
  template <class M>
  void gather_values(M& model) const {
    cria::gather_values(*shared_, model);
  }

 private:
  const ParameterOwners* shared_;
  std::optional<ParameterOwners> of_sums_;  // without them
  bool as_bfloat16_;
};

}  // namespace cria
