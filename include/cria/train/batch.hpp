#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cria/core/error.hpp"
#include "cria/core/shape.hpp"

namespace cria {

/// Examples on the host, as many as the first dimension says: inputs [size, ...] of X and targets [size, ...]
/// of Y. By default both are tokens.
template <class X = std::int32_t, class Y = X>
struct Batch {
  /// Zeros. Throws ShapeError unless both shapes begin with the same number of examples, at least 1.
  Batch(const Shape& inputs_shape, const Shape& targets_shape)
      : shape_of_inputs(inputs_shape),
        shape_of_targets(targets_shape),
        inputs(static_cast<std::size_t>(inputs_shape.size())),
        targets(static_cast<std::size_t>(targets_shape.size())) {
    const bool has_examples = inputs_shape.rank() > 0 && targets_shape.rank() > 0 &&
                              inputs_shape.dim(0) == targets_shape.dim(0) && inputs_shape.dim(0) > 0;
    if (has_examples) return;
    throw ShapeError("Batch: inputs is " + to_string(inputs_shape) + " and targets " +
                     to_string(targets_shape) +
                     "; both must begin with the same number of examples, at least 1");
  }

  /// Number of examples.
  std::int64_t size() const { return shape_of_inputs.dim(0); }

  Shape shape_of_inputs, shape_of_targets;
  std::vector<X> inputs;
  std::vector<Y> targets;
};

}  // namespace cria
