#pragma once
/// A training run of the program that takes moments: a text, its tokens and a very small model.

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cria/core/random.hpp"
#include "support/process.hpp"

namespace cria::test {

/// `count` short stories of random words, between separators.
inline std::string small_text(std::uint64_t seed, int count) {
  const std::vector<std::string> words{"the",  "cat", "dog", "sat", "ran", "on",  "a",    "mat",
                                       "hill", "and", "saw", "red", "sun", "big", "tree", "blue"};
  Rng rng(seed);
  std::string text;
  for (int story = 0; story < count; ++story) {
    for (int word = 0; word < 20; ++word) text += words[rng.below(words.size())] + (word < 19 ? " " : ".\n");
    text += "<|endoftext|>\n";
  }
  return text;
}

/// Prepares data (one validation and two training shards) in a folder of its own.
class SmallData {
 public:
  SmallData() {
    std::vector<std::string> arguments{
        PRETRAIN_LLAMA, "prepare", "--vocab_size=300", "--max_seq_len=16", "--data_dir=" + data_dir(),
        "--input"};
    for (int file = 0; file < 3; ++file) {
      const std::string path = folder_ / ("text" + std::to_string(file) + ".txt");
      std::ofstream(path) << small_text(static_cast<std::uint64_t>(file), 40);
      arguments.push_back(path);
    }
    outcome = run(arguments);
  }
  std::string data_dir() const { return folder_ / "data"; }

  Outcome outcome;

 private:
  TemporaryDirectory folder_;
};

/// The data, prepared once for all tests.
inline const SmallData& small_data() {
  static const SmallData data;
  return data;
}

/// The arguments that train the small model in `out_dir`, and `more`.
inline std::vector<std::string> small_training(const std::string& data_dir, const std::string& out_dir,
                                               const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments{PRETRAIN_LLAMA,
                                     "train",
                                     "--data_dir=" + data_dir,
                                     "--out_dir=" + out_dir,
                                     "--vocab_size=300",
                                     "--max_seq_len=16",
                                     "--dim=16",
                                     "--n_layers=1",
                                     "--n_heads=2",
                                     "--n_group=1",
                                     "--batch_size=4",
                                     "--gradient_accumulation_steps=2",
                                     "--dropout=0.1",
                                     "--threads=2",
                                     "--eval_interval=5",
                                     "--eval_iters=1",
                                     "--always_save_checkpoint=true",
                                     "--warmup_iters=5",
                                     "--max_iters=60",
                                     "--peak_flops=1e12"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

/// The lines of the metrics.jsonl in `out_dir` that have `key`: "loss" those of iterations, "val_loss" those
/// of evaluations.
inline std::vector<nlohmann::json> metrics(const std::string& out_dir, const char* key) {
  std::vector<nlohmann::json> lines;
  std::ifstream file(out_dir + "/metrics.jsonl");
  for (std::string line; std::getline(file, line);) {
    auto json = nlohmann::json::parse(line);
    if (json.contains(key)) lines.push_back(std::move(json));
  }
  return lines;
}

}  // namespace cria::test
