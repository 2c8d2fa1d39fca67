#pragma once

#include <cstddef>
#include <string>

#include "cria/dist/communicator.hpp"
#include "cria/nn/module.hpp"
#include "cria/ops/accumulate.hpp"

namespace cria {

/// Every process's gradients of `model` become the sum of all processes' gradients, the same bits everywhere:
/// neighbours add up theirs, then neighbouring pairs, and so on, as a binary tree does whose leaves are the
/// processes. The same parameters must have gradients in all of them. log2(size) exchanges of each gradient.
template <class M>
void sum_gradients(Communicator& processes, M& model) {
  nn::for_each_parameter(model, [&]<class T>(const std::string&, Parameter<T, Cpu>& parameter) {
    if (!parameter.has_grad()) return;
    auto other = Tensor<acc_t<T>, Cpu>::empty(parameter.shape());
    for (int group = 1; group < processes.size(); group *= 2) {
      const auto own = sink(parameter).vec();
      processes.exchange(processes.rank() ^ group, own.data, other.mutable_vec().data,
                         static_cast<std::size_t>(own.size) * sizeof(acc_t<T>));
      accumulate(sink(parameter), other);  // a + b is b + a, to the last bit
    }
  });
}

}  // namespace cria
