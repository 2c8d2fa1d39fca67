#pragma once
/// Requests and answers in OpenAI's JSON: /v1/completions and /v1/chat/completions.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "text_batch.hpp"
#include "text_engine.hpp"

namespace pretrain {

/// What a request may ask for.
struct CompletionLimits {
  std::int64_t max_tokens;  // to write
  std::int64_t max_texts;   // n
};

/// A request that is not answered; `parameter` is the field that was wrong.
struct RequestError : std::runtime_error {
  RequestError(const std::string& sentence, std::string field)
      : std::runtime_error(sentence), parameter(std::move(field)) {}
  std::string parameter;
};

struct CompletionRequest {
  bool is_chat;
  std::string prompt;
  TextOptions options;
  std::size_t texts = 1;
  bool stream = false;
  bool include_usage = false;  // at the end of a stream
};

/// Reads a request's body. Messages of a chat become a text of lines, "User: ..." and "Assistant: ...", which
/// the model goes on with. Throws RequestError.
CompletionRequest read_completion(const std::string& body, bool is_chat, const CompletionLimits& limits);

/// {"error": {"message", "type", "param", "code"}}
nlohmann::json error_json(const std::string& message, const std::string& type,
                          const std::string& parameter = "");

/// The answer to one request, as a whole or in parts.
class CompletionAnswer {
 public:
  CompletionAnswer(const CompletionRequest& request, std::string model, std::int64_t prompt_tokens);

  /// Takes a piece of a text.
  void add(const TextPiece& piece);
  /// Whether all texts have ended.
  bool is_complete() const { return ended_ == texts_.size(); }

  /// All of the texts.
  nlohmann::json whole() const;
  /// One piece, as an event of a stream.
  nlohmann::json part(const TextPiece& piece) const;
  /// The numbers of tokens, as the last event of a stream.
  nlohmann::json usage_part() const;

 private:
  struct Text {
    std::string text;
    std::int64_t tokens = 0;
    Ending ending = Ending::none;
  };

  nlohmann::json head(const char* object) const;
  nlohmann::json usage() const;

  bool is_chat_;
  std::string id_, model_;
  std::int64_t created_, prompt_tokens_;
  std::vector<Text> texts_;
  std::size_t ended_ = 0;
};

}  // namespace pretrain
