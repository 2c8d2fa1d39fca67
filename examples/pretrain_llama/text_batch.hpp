#pragma once
/// Texts that are written side by side.

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "sampler.hpp"
#include "text_model.hpp"
#include "text_stream.hpp"
#include "tokenizer.hpp"

namespace pretrain {

/// What happens to a text that fills the model's context: it goes on from its second half, or ends.
enum class AtContextEnd { roll, stop };

struct TextOptions {
  SamplingOptions sampling;
  std::int64_t max_new_tokens = 200;
  std::vector<std::string> stop;  // with the first of which the text ends; it is not part of it
  AtContextEnd at_context_end = AtContextEnd::roll;
};

/// Throws cria::ConfigError for what is not allowed; `prefix` comes before an option's name in the sentence.
void check(const TextOptions& options, const std::string& prefix);

/// Why a text ends: it does not yet; the model began a new story, or a stop string came; it has all of its
/// tokens, or the context is full.
enum class Ending { none, stop, length };

/// Is called for each token with the text that it adds, which may be empty, and whether that was the last.
/// False: nobody reads on, and the text ends.
using TextSink = std::function<bool(const std::string& text, Ending ending)>;

/// A prompt that a model has read, from which several texts may go on.
struct ReadPrompt {
  std::vector<std::int32_t> tokens;  // those that the model has seen
  std::unique_ptr<TextModel::Memory> memory;
  Scores scores;
};

/// Writes texts with one model: each step adds a token to each of them. Texts join between steps and leave
/// when they have ended. What a text becomes does not depend on the others.
class TextBatch {
 public:
  /// The model and the tokenizer must live as long. `context` is how many tokens the model can see.
  TextBatch(const TextModel& model, const Tokenizer& tokenizer, std::int64_t context)
      : model_(model), tokenizer_(tokenizer), context_(context) {}

  /// BOS and the tokens of a text.
  std::vector<std::int32_t> tokens_of(const std::string& prompt) const;

  /// Reads a prompt; of one that is longer than the context, as many of its last tokens as half of that.
  ReadPrompt read(std::vector<std::int32_t> tokens) const;

  /// Another text, which goes on from a prompt; `number` is its number among those of one seed.
  void add(const ReadPrompt& prompt, const TextOptions& options, std::uint64_t number, TextSink sink);

  /// Texts that have not ended.
  std::size_t size() const { return texts_.size(); }

  /// Adds a token to each text.
  void step();

 private:
  struct Text {
    std::vector<std::int32_t> tokens;  // those that the model sees, and the last one, which it has not seen
    std::unique_ptr<TextModel::Memory> memory;
    Scores scores;  // of the next token
    std::int64_t left;
    AtContextEnd at_context_end;
    Sampler sampler;
    TextStream stream;
    TextSink sink;
  };

  bool write_token(Text& text) const;
  bool is_full(const Text& text) const { return text.memory->length() == context_; }

  const TextModel& model_;
  const Tokenizer& tokenizer_;
  std::int64_t context_;
  std::list<Text> texts_;
};

}  // namespace pretrain
