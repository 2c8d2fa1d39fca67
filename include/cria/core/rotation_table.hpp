#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "cria/core/error.hpp"

namespace cria {

/// How fast rotary position embeddings turn. Pair d of a head of `dim` numbers turns by
/// f(d) = theta^(-2 d / dim) from each position to the next, and for models that were stretched to longer
/// contexts by
///
///   linear   f(d) / factor                                    Chen et al. 2023, position interpolation
///   llama3   f(d) (s + (1 - s) / factor)                      Llama 3.1
///            s = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor), cut to [0, 1]
///            turns = original_max_position_embeddings f(d) / (2 pi)
///
/// so that llama3 keeps what turns often within the original context and slows down what hardly turns once.
/// The names are those of `rope_scaling` (`rope_parameters`) in Hugging Face's configurations, the numbers
/// those of `modeling_rope_utils.py` in transformers.
struct RotaryFrequencies {
  enum class Scaling { none, linear, llama3 };

  /// The most positions there may be; in double, the angle of each is right to a millionth.
  static constexpr std::int64_t max_positions = std::int64_t{1} << 32;

  float theta = 10000.0f;
  Scaling scaling = Scaling::none;
  float factor = 1.0f;  // of linear and llama3; the other three are llama3's
  float low_freq_factor = 1.0f;
  float high_freq_factor = 4.0f;
  std::int64_t original_max_position_embeddings = 8192;

  RotaryFrequencies() = default;
  /// Without scaling.
  RotaryFrequencies(float base) : theta(base) {}

  auto operator<=>(const RotaryFrequencies&) const = default;

  /// Throws ConfigError, in the name of `who`, for numbers that no frequencies follow from.
  void check(const std::string& who) const {
    const auto positive = [&](const char* name, auto value) {
      if (value > 0 && std::isfinite(value)) return;
      throw ConfigError(who + ": " + name + " = " + std::to_string(value) + " must be a positive number");
    };
    positive("theta", theta);
    if (scaling == Scaling::none) return;
    positive("factor", factor);
    if (scaling == Scaling::linear) return;
    positive("low_freq_factor", low_freq_factor);
    positive("high_freq_factor", high_freq_factor);
    positive("original_max_position_embeddings", original_max_position_embeddings);
    if (high_freq_factor <= low_freq_factor) {
      throw ConfigError(who + ": high_freq_factor = " + std::to_string(high_freq_factor) +
                        " must be larger than low_freq_factor = " + std::to_string(low_freq_factor));
    }
  }

  /// The angle by which pair `d` of a head of `dim` numbers turns from a position to the next.
  double frequency(std::int64_t d, std::int64_t dim) const {
    const double unscaled =
        std::pow(static_cast<double>(theta), -2.0 * static_cast<double>(d) / static_cast<double>(dim));
    if (scaling == Scaling::none) return unscaled;
    const double slowed = unscaled / static_cast<double>(factor);
    if (scaling == Scaling::linear) return slowed;
    const double low = static_cast<double>(low_freq_factor), high = static_cast<double>(high_freq_factor);
    const double turns =
        static_cast<double>(original_max_position_embeddings) * unscaled / (2 * std::numbers::pi);
    const double share = std::clamp((turns - low) / (high - low), 0.0, 1.0);
    return share * unscaled + (1 - share) * slowed;
  }
};

namespace detail {

/// What begins at a later position gets a table of its own, which is not kept; the others share one that
/// begins at 0.
inline constexpr std::int64_t most_kept_positions = std::int64_t{1} << 20;

/// cos and sin of position * frequency(d) for the positions from `first` on, [positions, dim / 2] each; grown
/// when a later position is asked for. A is float or double.
template <class A>
struct RotationTable {
  std::int64_t first = 0;
  std::vector<A> cosine = {}, sine = {};

  /// Has it hold all positions below `end`.
  void cover(std::int64_t end, std::int64_t dim, const RotaryFrequencies& frequencies) {
    const auto half = static_cast<std::size_t>(dim / 2), size = static_cast<std::size_t>(end - first) * half;
    if (cosine.size() >= size) return;
    std::vector<double> frequency;
    for (std::int64_t d = 0; d < dim / 2; ++d) frequency.push_back(frequencies.frequency(d, dim));
    for (std::size_t i = cosine.size(); i < size; ++i) {
      const double position = static_cast<double>(first + static_cast<std::int64_t>(i / half));
      const double angle = position * frequency[i % half];
      cosine.push_back(static_cast<A>(std::cos(angle)));
      sine.push_back(static_cast<A>(std::sin(angle)));
    }
  }
};

/// A table for each size of a head and its frequencies.
template <class Table>
using RotationTables = std::map<std::pair<std::int64_t, RotaryFrequencies>, Table>;

}  // namespace detail

}  // namespace cria
