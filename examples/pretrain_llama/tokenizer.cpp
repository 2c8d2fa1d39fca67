#include "tokenizer.hpp"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "cria/core/error.hpp"
#include "cria/io/tokens.hpp"

namespace pretrain {

namespace {

/// The most bytes that the trainer is given at once. A word of more than 65,535 characters would abort the
/// program.
constexpr std::size_t max_line_bytes = 32768;

/// The lines of all stories: the trainer takes one line at a time, and newlines are left to the byte
/// fallback. Longer lines than the trainer can take come in pieces.
class Lines : public sentencepiece::SentenceIterator {
 public:
  explicit Lines(std::span<const std::string> stories) : stories_(stories) { Next(); }

  bool done() const override { return done_; }
  void Next() override {
    while (!stories_.empty() && begin_ >= stories_.front().size()) {
      stories_ = stories_.subspan(1);
      begin_ = 0;
    }
    done_ = stories_.empty();
    if (done_) return;
    const std::string& story = stories_.front();
    const std::size_t newline = std::min(story.find('\n', begin_), story.size());
    std::size_t end = std::min(newline, begin_ + max_line_bytes);
    while (end < newline && (story[end] & 0xC0) == 0x80) --end;  // not within a character
    line_ = story.substr(begin_, end - begin_);
    begin_ = end == newline ? newline + 1 : end;
  }
  const std::string& value() const override { return line_; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  std::span<const std::string> stories_;  // from the current one on
  std::size_t begin_ = 0;                 // of the next line
  std::string line_;
  bool done_ = false;
};

/// The number behind `words` in `message`, or empty.
std::string number_after(std::string_view message, std::string_view words) {
  const std::size_t found = message.find(words);
  if (found == std::string_view::npos) return {};
  const std::string_view rest = message.substr(found + words.size());
  return std::string(rest.substr(0, rest.find_first_not_of("0123456789")));
}

void check(const sentencepiece::util::Status& status) {
  if (!status.ok()) throw std::runtime_error("SentencePiece: " + status.ToString());
}

}  // namespace

std::string Tokenizer::train(std::span<const std::string> stories, std::int64_t vocab_size) {
  const std::string given = "vocab_size is " + std::to_string(vocab_size);
  if (vocab_size > cria::io::max_vocab_size) {
    throw cria::ConfigError(given + "; token shards hold 16-bit ids, so it must be at most " +
                            std::to_string(cria::io::max_vocab_size));
  }
  // With a size below that of the bytes and control pieces alone, the trainer does not say what the least
  // size is.
  const std::int64_t bytes_and_control_pieces = 256 + 3;
  const std::unordered_map<std::string, std::string> settings = {
      {"model_type", "bpe"},
      {"vocab_size", std::to_string(std::max(vocab_size, bytes_and_control_pieces))},
      {"byte_fallback", "true"},
      {"character_coverage", "1.0"},
      {"split_digits", "true"},
      {"allow_whitespace_only_pieces", "true"},
      {"unk_surface", " \342\201\207 "},
      {"normalization_rule_name", "identity"},
      {"remove_extra_whitespaces", "false"},  // without this, identity would still merge double spaces
      {"max_sentence_length", std::to_string(max_line_bytes)},  // longer lines would be left out silently
      {"self_test_sample_size", "0"},
      {"minloglevel", "4"},  // silent: what goes wrong is in the status
  };
  Lines lines(stories);
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(settings, &lines, &model);
  if (status.ok()) return model;
  const std::string message = status.ToString();
  if (const std::string largest = number_after(message, "Please set it to a value <= "); !largest.empty()) {
    throw cria::ConfigError(given +
                            "; the text is too small for so large a vocabulary, the largest possible is " +
                            largest + ": give --vocab_size=" + largest + " or more text");
  }
  if (const std::string least = number_after(message, " vs "); !least.empty()) {
    throw cria::ConfigError(
        given +
        "; it must hold 256 bytes, 3 control tokens and each character of the text, so it must be at least " +
        least);
  }
  throw cria::ConfigError("the text cannot be used to train a vocabulary of " + std::to_string(vocab_size) +
                          " pieces: " + message);
}

Tokenizer::Tokenizer(std::string model_bytes, const std::string& name)
    : model_bytes_(std::move(model_bytes)) {
  const auto processor = std::make_shared<sentencepiece::SentencePieceProcessor>();
  if (!processor->LoadFromSerializedProto(model_bytes_).ok()) {
    throw cria::FileError(name, "is not a SentencePiece model, or is damaged");
  }
  processor_ = processor;
  if (bos() < 0) throw cria::FileError(name, "has no BOS token, with which every story begins");
}

std::int32_t Tokenizer::bos() const {
  return processor_->bos_id();
}
std::int32_t Tokenizer::eos() const {
  return processor_->eos_id();
}
std::int64_t Tokenizer::size() const {
  return processor_->GetPieceSize();
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int> ids;
  check(processor_->Encode(text, &ids));
  return ids;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids) const {
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= size()) {
      throw cria::ConfigError("token id " + std::to_string(id) +
                              " is not in the vocabulary; ids must be in [0, " + std::to_string(size()) +
                              ")");
    }
  }
  std::string text;
  check(processor_->Decode(std::vector<int>(ids.begin(), ids.end()), &text));
  return text;
}

std::string Tokenizer::bytes_of(std::int32_t id, bool first) const {
  if (id >= 0 && id < size() && processor_->IsByte(id)) {  // "<0xE2>"
    return {static_cast<char>(std::stoi(processor_->IdToPiece(id).substr(3, 2), nullptr, 16))};
  }
  const std::string alone = decode(std::span(&id, 1));
  // Behind itself it has the space that is left out at the start of a text.
  return first ? alone : decode(std::vector{id, id}).substr(alone.size());
}

}  // namespace pretrain
