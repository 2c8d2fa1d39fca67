#include "corpus.hpp"

#include <nlohmann/json.hpp>

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
  return hexadecimal(crc);
}

}  // namespace

Corpus::Corpus(const std::filesystem::path& data_dir, std::int64_t vocab_size) {
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
  if (const auto path = data_dir / "corpus.json"; std::filesystem::exists(path)) {
    const auto json = nlohmann::json::parse(cria::io::read_file(path), nullptr, /*allow_exceptions=*/false);
    const auto tokens = number(json, "validation", "tokens"), bytes = number(json, "validation", "bytes");
    if (tokens && bytes && *tokens > 0) validation_bytes_per_token = *bytes / *tokens;
    floor = number(json, "validation", "nats_per_token");
  }
}

Fingerprints Corpus::fingerprints() const {
  return {hexadecimal(cria::io::crc32(std::as_bytes(std::span(tokenizer_model)))), fingerprint(training),
          fingerprint(validation)};
}

}  // namespace pretrain
