#include "generate.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "cuda_part.hpp"
#include "generate_on.hpp"
#include "train_options.hpp"

namespace pretrain {

std::int32_t sample(const std::vector<double>& logits, const GenerateOptions& options, cria::Rng& rng) {
  std::vector<std::int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto logit = [&](std::int32_t id) { return logits[static_cast<std::size_t>(id)]; };
  const auto likelier = [&](std::int32_t a, std::int32_t b) {
    return logit(a) != logit(b) ? logit(a) > logit(b) : a < b;
  };
  if (options.temperature == 0) return *std::min_element(ids.begin(), ids.end(), likelier);
  std::sort(ids.begin(), ids.end(), likelier);
  if (options.top_k > 0) ids.resize(std::min(ids.size(), static_cast<std::size_t>(options.top_k)));
  std::vector<double> weights(ids.size());
  std::transform(ids.begin(), ids.end(), weights.begin(), [&](std::int32_t id) {
    return std::exp((logit(id) - logit(ids[0])) / options.temperature);
  });
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  double kept = 0;
  std::size_t count = 0;
  while (count < weights.size() && kept < options.top_p * total) kept += weights[count++];
  double draw = rng.uniform() * kept;
  for (std::size_t i = 0; i < count; ++i) {
    if ((draw -= weights[i]) < 0) return ids[i];
  }
  return ids[count - 1];
}

void generate(const GenerateOptions& options) {
  const auto require = [](bool allowed, const std::string& sentence) {
    if (!allowed) throw cria::ConfigError(sentence);
  };
  require(options.max_new_tokens >= 0, "--max_new_tokens must be at least 0");
  require(options.num_samples >= 1, "--num_samples must be at least 1");
  require(options.temperature >= 0 && std::isfinite(options.temperature),
          "--temperature must be a number from 0 on");
  require(options.top_k >= 0, "--top_k must be at least 0; 0 means all tokens");
  require(options.top_p > 0 && options.top_p <= 1, "--top_p must be above 0 and at most 1");
  require(options.device == "cpu" || (cuda_part() && options.device == "cuda"),
          "--device is " + options.device + "; this program was compiled for: " + devices());
  const std::filesystem::path folder = options.checkpoint;
  if (!std::filesystem::is_directory(folder)) {
    throw cria::FileError(folder.string(),
                          "is not a folder; --checkpoint must name one that `train` wrote, such as "
                          "output/best");
  }
  if (std::filesystem::exists(folder / "manifest.json")) cria::io::verify_folder(folder);
  const auto tokenizer_path = folder / "tokenizer.model";
  const ModelFolder model{folder, cria::io::read_llama_config(folder / "config.json"),
                          Tokenizer(cria::io::read_file(tokenizer_path), tokenizer_path.string())};
  if (model.tokenizer.size() != model.description.config.vocab_size) {
    throw cria::FileError(tokenizer_path.string(), "has " + std::to_string(model.tokenizer.size()) +
                                                       " pieces; the model's vocab_size is " +
                                                       std::to_string(model.description.config.vocab_size));
  }
  options.device == "cpu" ? generate_on<cria::Cpu>(options, model) : cuda_part()->generate(options, model);
}

}  // namespace pretrain
