#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cria/core/error.hpp"
#include "cria/core/permutation.hpp"
#include "cria/core/random.hpp"
#include "cria/data/source.hpp"

namespace cria::data {

/// Some examples of a source, which it shares: example i is source[indices[i]].
template <Source S>
class Subset {
 public:
  Subset(std::shared_ptr<const S> source, std::vector<std::size_t> indices)
      : source_(std::move(source)), indices_(std::move(indices)) {}

  std::size_t size() const { return indices_.size(); }
  /// Throws ShapeError if there is no such example.
  auto operator[](std::size_t i) const { return (*source_)[index(i)]; }
  batch_t<S, Cpu> gather(std::span<const std::size_t> indices) const {
    std::vector<std::size_t> of_source;
    of_source.reserve(indices.size());
    for (const std::size_t i : indices) of_source.push_back(index(i));
    return data::gather(*source_, of_source);
  }

  /// Where the examples are in the source.
  const std::vector<std::size_t>& indices() const { return indices_; }

 private:
  std::size_t index(std::size_t i) const {
    detail::check_index("data::Subset", i, size());
    return indices_[i];
  }

  std::shared_ptr<const S> source_;
  std::vector<std::size_t> indices_;
};

struct SplitOptions {
  double validation = 0.1;  // the part of the examples that is held out
  std::uint64_t seed = 0;   // which ones
};

/// Divides a source at random into examples to train on and examples to validate with, in this order: each
/// example is in one of the two, and both keep the order of the source. Throws ConfigError unless
/// `validation` is in (0, 1) and leaves at least one example to either.
template <Source S>
std::pair<Subset<S>, Subset<S>> split(S source, const SplitOptions& options = {}) {
  const auto size = static_cast<std::size_t>(source.size());
  const bool is_part = options.validation > 0 && options.validation < 1;
  const auto held_out =
      is_part ? static_cast<std::size_t>(std::lround(options.validation * static_cast<double>(size))) : 0;
  if (held_out == 0 || held_out >= size) {
    throw ConfigError(
        "data::split: validation is " + std::to_string(options.validation) + " of " + std::to_string(size) +
        " examples; it must be in (0, 1) and leave at least one to train on and one to validate "
        "with");
  }
  std::vector<std::size_t> training = permutation(Rng(options.seed), size);
  const auto end = training.end() - static_cast<std::ptrdiff_t>(held_out);
  std::vector<std::size_t> validation(end, training.end());
  training.erase(end, training.end());
  std::sort(training.begin(), training.end());
  std::sort(validation.begin(), validation.end());
  const auto shared = std::make_shared<const S>(std::move(source));
  return {Subset<S>(shared, std::move(training)), Subset<S>(shared, std::move(validation))};
}

}  // namespace cria::data
