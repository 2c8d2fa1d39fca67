#pragma once

#include <functional>
#include <vector>

#include "cria/core/random.hpp"
#include "cria/nn/module.hpp"

namespace cria::nn {

/// Fills a parameter with numbers of the normal distribution (0, standard_deviation) from `rng`.
template <class T, class B>
void fill_normal(Parameter<T, B>& parameter, double standard_deviation, Rng rng) {
  std::vector<T> values(static_cast<std::size_t>(parameter.size()));
  for (T& value : values) value = static_cast<T>(static_cast<acc_t<T>>(standard_deviation * rng.normal()));
  parameter.value().assign(values);
}

/// Fills a parameter with one number.
template <class T, class B>
void fill(Parameter<T, B>& parameter, double value) {
  const T filled = static_cast<T>(static_cast<acc_t<T>>(value));
  parameter.value().assign(std::vector<T>(static_cast<std::size_t>(parameter.size()), filled));
}

/// Initialises every parameter for training from scratch: those with a constant of their own (norms) get it,
/// matrices and kernels normal(0, 1 / sqrt(inputs)), that is He's rule without its factor for rectifiers, and
/// other vectors 0. The inputs of a kernel [out, in, ...] are all numbers that one of its results sums up.
/// Models with rules of their own overload this.
template <class M>
void initialize(M& module, Rng rng) {
  std::uint64_t index = 0;
  for_each_parameter(module, [&](const std::string&, auto& parameter) {
    const Rng own = rng.split(index++);
    if (parameter.shape().rank() >= 2 && !parameter.constant()) {
      const std::int64_t inputs = parameter.shape().product(1, parameter.shape().rank());
      fill_normal(parameter, 1.0 / std::sqrt(static_cast<double>(inputs)), own);
    } else {
      fill(parameter, parameter.constant().value_or(0.0));
    }
  });
}

}  // namespace cria::nn
