#include "corpus.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "tokenizer.hpp"

namespace pretrain {

namespace {

std::optional<double> number(const nlohmann::json& json, const char* split, const char* name) {
  if (!json.is_object() || !json.contains(split) || !json[split].is_object()) return {};
  const auto& object = json[split];
  if (!object.contains(name) || !object[name].is_number()) return {};
  return object[name].get<double>();
}

std::string fingerprint(const Corpus::Shards& shards) {
  std::uint32_t crc = 0;
  for (const auto& shard : shards) crc = shard->fingerprint(crc);
  return cria::io::hexadecimal(crc);
}

/// Throws FileError if there is no window in the shortest shard.
void check_windows(const Corpus& corpus, std::int64_t max_seq_len) {
  const auto tokens = [](const auto& shard) { return std::ssize(shard->tokens()); };
  const auto& shortest = std::min(*std::ranges::min_element(corpus.validation, {}, tokens),
                                  *std::ranges::min_element(corpus.training, {}, tokens),
                                  [&](const auto& a, const auto& b) { return tokens(a) < tokens(b); });
  if (shortest->window_count(max_seq_len) > 0) return;
  const std::string smaller =
      tokens(shortest) < 2 ? "" : "--max_seq_len=" + std::to_string(tokens(shortest) / 2) + " or ";
  throw cria::FileError(shortest->path().string(),
                        "has " + std::to_string(tokens(shortest)) + " tokens; one window of " +
                            std::to_string(max_seq_len) + " positions needs at least " +
                            std::to_string(2 * max_seq_len) + ", so give " + smaller + "more text");
}

}  // namespace

Corpus::Corpus(const std::filesystem::path& data_dir, std::int64_t vocab_size, std::int64_t max_seq_len) {
  if (!std::filesystem::is_directory(data_dir)) {
    throw cria::FileError(data_dir.string(),
                          "is not a folder; `pretrain_llama prepare --data_dir=" + data_dir.string() +
                              " --vocab_size=" + std::to_string(vocab_size) +
                              "` makes one of the text files that --input names");
  }
  const auto tokenizer_path = data_dir / "tokenizer.model";
  tokenizer_model = cria::io::read_file(tokenizer_path);
  const Tokenizer tokenizer(tokenizer_model, tokenizer_path.string());
  if (tokenizer.size() != vocab_size) {
    throw cria::FileError(tokenizer_path.string(), "has " + std::to_string(tokenizer.size()) +
                                                       " pieces; --vocab_size=" + std::to_string(vocab_size) +
                                                       " must be the same");
  }
  const auto paths = cria::io::token_shards(data_dir / ("tok" + std::to_string(vocab_size)));
  if (paths.size() < 2) {
    throw cria::FileError(paths.front().string(),
                          "is the only token shard; the first is validation and at least one more is needed");
  }
  for (const auto& path : paths) {
    auto& split = validation.empty() ? validation : training;
    split.push_back(std::make_shared<const cria::io::TokenShard>(path, vocab_size));
  }
  check_windows(*this, max_seq_len);
  if (const auto path = data_dir / "corpus.json"; std::filesystem::exists(path)) {
    const auto json = nlohmann::json::parse(cria::io::read_file(path), nullptr, /*allow_exceptions=*/false);
    const auto tokens = number(json, "validation", "tokens"), bytes = number(json, "validation", "bytes");
    if (tokens && bytes && *tokens > 0) validation_bytes_per_token = *bytes / *tokens;
    const auto described =
        json.is_object() ? json.value("tokenizer_crc32", nlohmann::json()) : nlohmann::json();
    if (!described.is_null() && described != cria::io::crc32(std::as_bytes(std::span(tokenizer_model)))) {
      throw cria::FileError(path.string(),
                            "describes data of another tokenizer.model, as an interrupted `prepare` leaves "
                            "it; prepare the data again, with --overwrite=true");
    }
    floor = number(json, "validation", "nats_per_token");
  }
}

Fingerprints Corpus::fingerprints() const {
  return {cria::io::hexadecimal(cria::io::crc32(std::as_bytes(std::span(tokenizer_model)))),
          fingerprint(training), fingerprint(validation)};
}

}  // namespace pretrain
