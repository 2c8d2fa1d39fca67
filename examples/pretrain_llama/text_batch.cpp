#include "text_batch.hpp"

#include <algorithm>
#include <utility>

#include "cria/core/error.hpp"

namespace pretrain {

void check(const TextOptions& options, const std::string& prefix) {
  check(options.sampling, prefix);
  if (options.max_new_tokens < 0) throw cria::ConfigError(prefix + "max_new_tokens must be at least 0");
  for (const std::string& stop : options.stop) {
    if (stop.empty()) throw cria::ConfigError(prefix + "stop is empty; it must be a text");
  }
}

std::vector<std::int32_t> TextBatch::tokens_of(const std::string& prompt) const {
  std::vector<std::int32_t> tokens = tokenizer_.encode(prompt);
  tokens.insert(tokens.begin(), tokenizer_.bos());
  return tokens;
}

ReadPrompt TextBatch::read(std::vector<std::int32_t> tokens) const {
  if (std::ssize(tokens) > context_) {
    tokens.erase(tokens.begin(), tokens.end() - std::max<std::int64_t>(1, context_ / 2));
  }
  ReadPrompt prompt{std::move(tokens), nullptr, {}};
  prompt.memory = model_.memory(std::ssize(prompt.tokens));
  prompt.scores = model_.read(prompt.tokens, *prompt.memory);
  return prompt;
}

void TextBatch::add(const ReadPrompt& prompt, const TextOptions& options, std::uint64_t number,
                    TextSink sink) {
  if (options.max_new_tokens == 0) {
    sink("", Ending::length);
    return;
  }
  const std::int64_t length = std::ssize(prompt.tokens);
  const std::int64_t capacity = std::min(context_, length + std::min(context_, options.max_new_tokens));
  texts_.push_back(
      {prompt.tokens, model_.copy(*prompt.memory, capacity), prompt.scores, options.max_new_tokens,
       options.at_context_end,
       Sampler(options.sampling, read_logit_bias(options.sampling.logit_bias, tokenizer_.size()), number),
       TextStream(tokenizer_, prompt.tokens, options.stop), std::move(sink)});
  texts_.back().sampler.saw(prompt.tokens);
}

void TextBatch::step() {
  texts_.remove_if([&](Text& text) { return !write_token(text); });
  std::vector<Text*> others;
  std::vector<std::int32_t> tokens;
  std::vector<TextModel::Memory*> memories;
  for (Text& text : texts_) {
    if (is_full(text)) {  // goes on with the second half
      text.tokens.erase(text.tokens.begin(), text.tokens.end() - std::max<std::int64_t>(1, context_ / 2));
      text.memory->clear();
      text.scores = model_.read(text.tokens, *text.memory);
    } else {
      others.push_back(&text);
      tokens.push_back(text.tokens.back());
      memories.push_back(text.memory.get());
    }
  }
  if (others.empty()) return;
  const Scores scores = model_.read_next(tokens, memories);
  const std::int64_t vocabulary = std::ssize(scores) / std::ssize(others);
  auto begin = scores.begin();
  for (Text* text : others) {
    text->scores.assign(begin, begin + vocabulary);
    begin += vocabulary;
  }
}

/// Chooses the text's next token and hands on what it adds. Returns whether the text goes on.
bool TextBatch::write_token(Text& text) const {
  const std::int32_t id = text.sampler.choose(text.scores);
  if (id == tokenizer_.bos() || id == tokenizer_.eos()) {
    text.sink(text.stream.finish(), Ending::stop);
    return false;
  }
  std::string added = text.stream.add(id);
  text.tokens.push_back(id);
  const bool is_last = --text.left == 0 || (is_full(text) && text.at_context_end == AtContextEnd::stop);
  if (is_last && !text.stream.stopped()) added += text.stream.finish();
  const Ending ending = text.stream.stopped() ? Ending::stop : is_last ? Ending::length : Ending::none;
  return text.sink(added, ending) && ending == Ending::none;
}

}  // namespace pretrain
