#pragma once
/// Which token comes next, given a model's scores.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cria/core/random.hpp"

namespace pretrain {

/// How a token is chosen, in the order in which the rules apply, which is that of transformers. Each of the
/// rules from `temperature` on sees the probabilities of what the ones before it have left.
struct SamplingOptions {
  /// ID:BIAS, which is added to the token's score.
  std::vector<std::string> logit_bias;
  /// Scores of the tokens that are in the text are divided by it if they are positive, else multiplied
  /// (Keskar et al. 2019); 1: they are not.
  double repetition_penalty = 1;
  /// Scores are divided by it; 0: the likeliest token.
  double temperature = 0.8;
  /// The likeliest tokens, so many; 0: all.
  std::int64_t top_k = 0;
  /// The fewest of the likeliest that have so much probability together (Holtzman et al. 2020).
  double top_p = 1;
  /// Those with at least so much of the likeliest one's probability (Nguyen et al. 2024).
  double min_p = 0;
  /// Those whose information, -ln p, is nearest to the expected one, the entropy: the fewest that have so
  /// much probability together (Meister et al. 2022).
  double typical = 1;
  std::uint64_t seed = 1337;
};

/// A token and what is added to its score.
struct TokenBias {
  std::int32_t id;
  double bias;
};

/// Throws cria::ConfigError for a number that is not allowed; `prefix` comes before the option's name in the
/// sentence: "--".
void check(const SamplingOptions& options, const std::string& prefix);

/// The biases of a vocabulary of `vocab_size` tokens. Throws cria::ConfigError for what is no ID:BIAS.
std::vector<TokenBias> read_logit_bias(const std::vector<std::string>& texts, std::int64_t vocab_size);

/// A token that may come next.
struct Choice {
  std::int32_t id;
  double probability;
};

/// What one text needs to choose its tokens: the random numbers of its own, and which tokens it has.
class Sampler {
 public:
  /// `options` and `bias` are checked; `number` is the text's among those of one seed.
  Sampler(const SamplingOptions& options, std::vector<TokenBias> bias, std::uint64_t number);

  /// The text has these tokens, too.
  void saw(std::span<const std::int32_t> tokens);

  /// The tokens that may come, in any order. `scores` has a finite one of each token in the vocabulary.
  std::vector<Choice> choices(std::span<const float> scores) const;

  /// Draws one of them, which the text then has.
  std::int32_t choose(std::span<const float> scores);

 private:
  SamplingOptions options_;
  std::vector<TokenBias> bias_;
  cria::Rng rng_;
  std::vector<bool> seen_;  // by token; only kept if there is a penalty
};

}  // namespace pretrain
