#pragma once
/// The text of tokens that come one by one.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer.hpp"

namespace pretrain {

/// Gives out text as soon as it cannot change any more: whole characters only, and nothing that may turn out
/// to be the beginning of a stop string, with which the text ends.
class TextStream {
 public:
  /// The text goes on from `prompt`, in which stop strings mean nothing. `tokenizer` must live as long.
  TextStream(const Tokenizer& tokenizer, std::span<const std::int32_t> prompt, std::vector<std::string> stop);

  /// What another token adds.
  std::string add(std::int32_t id);
  /// What was held back, now that no token will come. Bytes that are no character are U+FFFD.
  std::string finish();

  /// Whether a stop string has come. It is not part of the text.
  bool stopped() const { return stopped_; }

 private:
  std::string release(std::string characters);

  const Tokenizer* tokenizer_;
  std::vector<std::string> stop_;
  bool first_;         // whether there are no tokens but control tokens yet
  std::string bytes_;  // of a character that is not complete
  std::string held_;   // which a stop string may begin with
  bool stopped_ = false;
};

/// Moves whole characters from the start of `bytes` to the result. Bytes that cannot become one are U+FFFD,
/// as Tokenizer::decode gives them.
std::string take_characters(std::string& bytes);

}  // namespace pretrain
