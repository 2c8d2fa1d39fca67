#pragma once
/// The tokenizer: SentencePiece byte-pair encoding with byte fallback, the same as llama2.c trains on
/// TinyStories.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace pretrain {

/// Encodes text as token ids and back. decode(encode(text)) is the text, white space included; the one
/// exception is the character U+2581, which SentencePiece uses for the space and gives back as one.
class Tokenizer {
 public:
  /// Trains a vocabulary of `vocab_size` pieces on `stories`, which must be valid UTF-8, and returns the
  /// serialised model (the contents of a tokenizer.model). The same stories give the same bytes. Throws
  /// cria::ConfigError if `vocab_size` is above 65536, or too large or too small for the text; the sentence
  /// names the largest or least possible.
  static std::string train(std::span<const std::string> stories, std::int64_t vocab_size);

  /// Loads a serialised model. Throws cria::FileError, with `name` as its file, if it is not one or has no
  /// BOS.
  explicit Tokenizer(std::string model_bytes, const std::string& name = "tokenizer.model");

  /// The ids of `text`, without BOS and EOS.
  std::vector<std::int32_t> encode(std::string_view text) const;
  /// The text of `ids`; control tokens such as BOS give nothing. Throws cria::ConfigError for an id that is
  /// not in the vocabulary.
  std::string decode(std::span<const std::int32_t> ids) const;
  /// The bytes that a token adds to a text, which may be part of a character; `first` if there are none but
  /// control tokens before it. Throws as decode does.
  std::string bytes_of(std::int32_t id, bool first) const;

  std::int32_t bos() const;
  std::int32_t eos() const;
  std::int64_t size() const;
  const std::string& model_bytes() const { return model_bytes_; }

 private:
  std::string model_bytes_;
  std::shared_ptr<const sentencepiece::SentencePieceProcessor> processor_;
};

}  // namespace pretrain
