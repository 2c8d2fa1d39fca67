#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace cria::nn {

/// Products y = x weight^T of one shape, with x [rows, in] and weight [out, in].
struct Product {
  std::int64_t in, out;
  std::int64_t count;  // weights of this shape, each of which meets every token
  std::int64_t most_rows = std::numeric_limits<std::int64_t>::max();  // of x in one product
};

/// What a model computes and holds for each token, as it tells itself: the operations of a step, the time
/// that its products take at least and the memory of training follow from it. Sums are double, so that no
/// model is too large to be told.
struct Costs {
  double parameters;
  std::vector<Product> products;  // but the head's
  Product head;                   // the logits', which exist for `most_rows` rows at once
  double attention_width;         // heads x head_dim, summed up over layers

  double kept;        // elements that forward keeps for backward
  double kept_float;  // the same in float, whatever the dtype
  double working;     // elements that backward of a layer needs at once: computed again, and gradients

  /// Operations of forward and backward: 6 per parameter, and attention's products over `length` positions.
  /// The usual estimate, Chowdhery et al. 2022, appendix B.
  double flops_per_token(std::int64_t length) const {
    return 6.0 * parameters + 12.0 * attention_width * static_cast<double>(length);
  }
};

}  // namespace cria::nn
