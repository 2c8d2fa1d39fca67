#pragma once
/// The data folder that `prepare` writes, opened for training.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint.hpp"
#include "cria/io/tokens.hpp"

namespace pretrain {

/// Token shards of both splits, the tokenizer, and what is known about the text.
struct Corpus {
  using Shards = std::vector<std::shared_ptr<const cria::io::TokenShard>>;
  Shards training, validation;
  std::string tokenizer_model;
  std::optional<double> validation_bytes_per_token;
  std::optional<double> floor;  // entropy of the validation split in nats per token, if the corpus knows it

  /// Throws cria::FileError or cria::ConfigError if something is missing, does not fit the vocabulary or is
  /// too short for a window.
  Corpus(const std::filesystem::path& data_dir, std::int64_t vocab_size, std::int64_t max_seq_len);

  Fingerprints fingerprints() const;
};

}  // namespace pretrain
