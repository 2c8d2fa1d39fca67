#pragma once
/// Counts of a small model made those of a large one, by how each kernel's grow with the sizes of the model.

#include <stdexcept>
#include <string>

#include "counts.hpp"

namespace micro_step {

/// The elements that a kernel goes through, up to a factor; its bytes grow with them.
inline double elements(const std::string& kernel, const Sizes& s) {
  const auto is = [&](const char* name) { return kernel.find(name) != std::string::npos; };
  const auto rows = static_cast<double>(s.rows), hidden = static_cast<double>(s.hidden),
             key_value = static_cast<double>(s.key_value), vocabulary = static_cast<double>(s.vocabulary);
  if (is("SwiGlu")) return rows * static_cast<double>(s.intermediate);
  if (is("rope_kernel")) return rows * (hidden + key_value);
  // Queries, outputs and their gradients are as wide as the model.
  if (is("query_gradient_kernel")) return rows * (4 * hidden + 2 * key_value);
  if (is("key_gradient_kernel")) return rows * (2 * hidden + 4 * key_value);
  if (is("forward_kernel")) return rows * (2 * hidden + 2 * key_value);
  if (is("softmax_gradient_kernel")) return rows * vocabulary;
  // The gradient of the vocabulary's weights is float, that of activations bfloat16.
  if (is("embedding_backward_kernel")) return (rows + 4 * vocabulary) * hidden;
  // The factors of the head's two gradients, when they are computed and when they are handed on.
  if (kernel == "map_kernel") return (14 * rows + 16 * vocabulary) * hidden;
  return rows * hidden;
}

/// A product's sizes m, n and k in `sizes`, from its name.
inline std::array<double, 3> product_sizes(const std::string& name, const Sizes& sizes) {
  std::array<double, 3> result{};
  std::istringstream words(name);
  std::string word, separator;
  for (int i = 0; i < 3; ++i) words >> word;  // "gemm", type and transpositions
  for (double& size : result) {
    words >> word >> separator;
    const auto found = std::find_if(size_names.begin(), size_names.end(),
                                    [&](const auto& each) { return each.first == word; });
    if (found == size_names.end()) throw std::runtime_error(name + ": " + word + " is no size of the model");
    size = static_cast<double>(sizes.*found->second);
  }
  return result;
}

/// The count of a product [m, n, k] for other sizes. It reads its operands once, and its result where it adds
/// to that.
inline Count grown_product(const Count& count, const std::array<double, 3>& from,
                           const std::array<double, 3>& to) {
  const auto operands = [](const std::array<double, 3>& size) {
    const auto [m, n, k] = size;
    return static_cast<double>(sizeof(bfloat16)) * (m + n) * k;
  };
  const double results = to[0] * to[1] / (from[0] * from[1]), products = results * to[2] / from[2];
  Count grown = count * products;
  grown.launches = count.launches;
  grown.bytes_read =
      (count.bytes_read - count.launches * operands(from)) * results + count.launches * operands(to);
  grown.bytes_written = count.bytes_written * results;
  return grown;
}

/// The same for the products with the vocabulary's weights: a GPU holds the logits of so many rows at once.
inline Count grown_head_product(const std::string& name, const Count& count, const Sizes& from,
                                const Sizes& to) {
  Sizes chunk = to;
  chunk.rows = cuda::logit_rows(to.rows, to.vocabulary);
  const double chunks = static_cast<double>(to.rows) / static_cast<double>(chunk.rows);
  Count grown = grown_product(count, product_sizes(name, from), product_sizes(name, chunk)) * chunks;
  // Each chunk but the first adds to the gradient of the weights.
  if (name.ends_with("rows")) grown.bytes_read += grown.bytes_written * (chunks - 1) / chunks;
  return grown;
}

/// The counts of sequences that are `length_ratio` times as long, for other sizes. Those of `from` held all
/// logits at once.
inline Counts grown(const Counts& counts, const Sizes& from, const Sizes& to, double length_ratio) {
  Counts result;
  for (const auto& [name, count] : counts) {
    if (name.starts_with("gemm")) {
      result[name] = name.find("vocabulary") != std::string::npos
                         ? grown_head_product(name, count, from, to)
                         : grown_product(count, product_sizes(name, from), product_sizes(name, to));
      continue;
    }
    Count& each = result[name] = count * (elements(name, to) / elements(name, from));
    each.launches = count.launches;
    const double attention = static_cast<double>(to.rows * to.hidden) /
                             static_cast<double>(from.rows * from.hidden) * length_ratio;
    each.flops = count.flops * attention;
    each.necessary_flops = count.necessary_flops * attention;
  }
  return result;
}

}  // namespace micro_step
