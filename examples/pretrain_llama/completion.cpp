#include "completion.hpp"

#include <atomic>
#include <ctime>
#include <limits>
#include <random>
#include <utility>

#include "cria/core/error.hpp"

namespace pretrain {

namespace {

using Json = nlohmann::json;

/// A field that is there and not null.
const Json* find(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found == json.end() || found->is_null() ? nullptr : &*found;
}

[[noreturn]] void refuse(const std::string& name, const std::string& what) {
  throw RequestError(name + " " + what, name);
}

void read(const Json& json, const char* name, double& value) {
  if (const Json* field = find(json, name)) {
    if (!field->is_number()) refuse(name, "must be a number");
    value = field->get<double>();
  }
}
void read(const Json& json, const char* name, std::int64_t& value) {
  if (const Json* field = find(json, name)) {
    if (!field->is_number_integer()) refuse(name, "must be a whole number");
    value = field->get<std::int64_t>();
  }
}
void read(const Json& json, const char* name, bool& value) {
  if (const Json* field = find(json, name)) {
    if (!field->is_boolean()) refuse(name, "must be true or false");
    value = field->get<bool>();
  }
}

SamplingOptions read_sampling(const Json& json) {
  SamplingOptions options;
  options.temperature = 1;
  read(json, "temperature", options.temperature);
  read(json, "top_p", options.top_p);
  read(json, "top_k", options.top_k);
  read(json, "min_p", options.min_p);
  read(json, "typical", options.typical);
  read(json, "repetition_penalty", options.repetition_penalty);
  std::int64_t seed = std::random_device()();
  read(json, "seed", seed);
  options.seed = static_cast<std::uint64_t>(seed);
  if (const Json* biases = find(json, "logit_bias")) {
    if (!biases->is_object()) refuse("logit_bias", "must be an object of token numbers and biases");
    for (const auto& [id, bias] : biases->items()) options.logit_bias.push_back(id + ":" + bias.dump());
  }
  return options;
}

std::vector<std::string> read_stop(const Json& json) {
  const Json* stop = find(json, "stop");
  if (!stop) return {};
  const Json all = stop->is_array() ? *stop : Json::array({*stop});
  std::vector<std::string> texts;
  for (const Json& each : all) {
    if (!each.is_string() || texts.size() == 16) refuse("stop", "must be a text or at most 16 of them");
    texts.push_back(each.get<std::string>());
  }
  return texts;
}

/// A message's text: a string, or parts that are texts.
std::string content_of(const Json& message) {
  const Json* content = find(message, "content");
  if (content && content->is_string()) return content->get<std::string>();
  std::string text;
  if (!content || !content->is_array()) refuse("messages", "must each have a content that is a text");
  for (const Json& part : *content) {
    if (!part.is_object() || part.value("type", Json()) != "text" || !part.value("text", Json()).is_string())
      refuse("messages", "may have parts of type text only");
    text += part["text"].get<std::string>();
  }
  return text;
}

std::string chat_prompt(const Json& json) {
  const Json* messages = find(json, "messages");
  if (!messages || !messages->is_array() || messages->empty()) {
    refuse("messages", "must be a list of at least one message");
  }
  std::string prompt;
  for (const Json& message : *messages) {
    const Json role = message.is_object() ? message.value("role", Json()) : Json();
    if (role == "system" || role == "developer") {
      prompt += content_of(message) + "\n\n";
    } else if (role == "user") {
      prompt += "User: " + content_of(message) + "\n";
    } else if (role == "assistant") {
      prompt += "Assistant: " + content_of(message) + "\n";
    } else {
      refuse("messages", "must each have a role, which is system, user or assistant");
    }
  }
  return prompt + "Assistant:";
}

Json finish_reason(Ending ending) {
  return ending == Ending::none ? Json() : ending == Ending::stop ? Json("stop") : Json("length");
}

}  // namespace

CompletionRequest read_completion(const std::string& body, bool is_chat, const CompletionLimits& limits) {
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw RequestError("the body must be a JSON object", "");
  CompletionRequest request{is_chat, "", {}};
  if (is_chat) {
    request.prompt = chat_prompt(json);
  } else {
    const Json* prompt = find(json, "prompt");
    if (prompt && !prompt->is_string()) refuse("prompt", "must be one text");
    if (prompt) request.prompt = prompt->get<std::string>();
  }
  TextOptions& options = request.options;
  options.sampling = read_sampling(json);
  options.stop = read_stop(json);
  if (is_chat) options.stop.emplace_back("\nUser:");
  options.at_context_end = AtContextEnd::stop;
  options.max_new_tokens = is_chat ? limits.max_tokens : std::min<std::int64_t>(16, limits.max_tokens);
  const char* most = find(json, "max_completion_tokens") ? "max_completion_tokens" : "max_tokens";
  read(json, most, options.max_new_tokens);
  if (options.max_new_tokens < 1 || options.max_new_tokens > limits.max_tokens) {
    refuse(most, "is " + std::to_string(options.max_new_tokens) + "; this server writes 1 to " +
                     std::to_string(limits.max_tokens));
  }
  std::int64_t texts = 1;
  read(json, "n", texts);
  if (texts < 1 || texts > limits.max_texts) {
    refuse("n", "is " + std::to_string(texts) + "; this server writes 1 to " +
                    std::to_string(limits.max_texts) + " texts at a time");
  }
  request.texts = static_cast<std::size_t>(texts);
  read(json, "stream", request.stream);
  if (const Json* stream = find(json, "stream_options"); stream && stream->is_object()) {
    read(*stream, "include_usage", request.include_usage);
  }
  for (const char* name :
       {"presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "suffix", "echo", "tools"}) {
    const Json* field = find(json, name);
    if (field && *field != Json(0) && *field != Json(0.0) && *field != Json(false) && !field->empty()) {
      refuse(name, "is not supported");
    }
  }
  try {
    check(options, "");
  } catch (const cria::ConfigError& error) {
    const std::string sentence = error.what();
    throw RequestError(sentence, sentence.substr(0, sentence.find(' ')));
  }
  return request;
}

nlohmann::json error_json(const std::string& message, const std::string& type, const std::string& parameter) {
  const Json field = parameter.empty() ? Json() : Json(parameter);
  return {{"error", {{"message", message}, {"type", type}, {"param", field}, {"code", nullptr}}}};
}

CompletionAnswer::CompletionAnswer(const CompletionRequest& request, std::string model,
                                   std::int64_t prompt_tokens)
    : is_chat_(request.is_chat),
      model_(std::move(model)),
      created_(std::time(nullptr)),
      prompt_tokens_(prompt_tokens),
      texts_(request.texts) {
  static std::atomic<std::int64_t> number = 0;
  id_ = (is_chat_ ? "chatcmpl-" : "cmpl-") + std::to_string(created_) + "-" + std::to_string(++number);
}

void CompletionAnswer::add(const TextPiece& piece) {
  Text& text = texts_[piece.text];
  text.text += piece.added;
  ++text.tokens;
  text.ending = piece.ending;
  if (piece.ending != Ending::none) ++ended_;
}

nlohmann::json CompletionAnswer::whole() const {
  Json answer = head(is_chat_ ? "chat.completion" : "text_completion");
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    Json choice{{"index", i}, {"finish_reason", finish_reason(texts_[i].ending)}, {"logprobs", nullptr}};
    if (is_chat_) {
      choice["message"] = {{"role", "assistant"}, {"content", texts_[i].text}};
    } else {
      choice["text"] = texts_[i].text;
    }
    answer["choices"].push_back(std::move(choice));
  }
  answer["usage"] = usage();
  return answer;
}

nlohmann::json CompletionAnswer::part(const TextPiece& piece) const {
  Json answer = head(is_chat_ ? "chat.completion.chunk" : "text_completion");
  Json choice{{"index", piece.text}, {"finish_reason", finish_reason(piece.ending)}, {"logprobs", nullptr}};
  if (is_chat_) {
    choice["delta"] = {{"role", "assistant"}, {"content", piece.added}};
  } else {
    choice["text"] = piece.added;
  }
  answer["choices"].push_back(std::move(choice));
  return answer;
}

nlohmann::json CompletionAnswer::usage_part() const {
  Json answer = head(is_chat_ ? "chat.completion.chunk" : "text_completion");
  answer["usage"] = usage();
  return answer;
}

nlohmann::json CompletionAnswer::head(const char* object) const {
  return {
      {"id", id_}, {"object", object}, {"created", created_}, {"model", model_}, {"choices", Json::array()}};
}

nlohmann::json CompletionAnswer::usage() const {
  std::int64_t written = 0;
  for (const Text& text : texts_) written += text.tokens;
  return {{"prompt_tokens", prompt_tokens_},
          {"completion_tokens", written},
          {"total_tokens", prompt_tokens_ + written}};
}

}  // namespace pretrain
