#pragma once
/// The embedded corpus: children's stories drawn from an unambiguous probabilistic grammar, so that each
/// story's probability, and with it the least loss that any model can reach, is known exactly.

#include <cstdint>
#include <string>

#include "story_grammar.hpp"

namespace pretrain {

/// The grammar of the embedded corpus.
const Grammar& story_grammar();

struct Story {
  std::string text;
  double log_probability;  // natural logarithm of the probability of exactly this text
};

/// Story number `index` of the corpus `seed`; independent of which others are drawn.
Story embedded_story(std::uint64_t seed, std::uint64_t index);

}  // namespace pretrain
