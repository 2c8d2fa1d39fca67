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
  if (const auto most = static_cast<std::size_t>(options.top_k); most > 0 && most < ids.size()) {
    std::nth_element(ids.begin(), ids.begin() + options.top_k - 1, ids.end(), likelier);
    ids.resize(most);
  }
  const double highest = logit(*std::min_element(ids.begin(), ids.end(), likelier));
  std::vector<double> weights(logits.size());
  const auto weight_of = [&](std::int32_t id) -> double& { return weights[static_cast<std::size_t>(id)]; };
  double kept = 0;
  for (const std::int32_t id : ids) {
    kept += weight_of(id) = std::exp((logit(id) - highest) / options.temperature);
  }
  if (options.top_p < 1) {
    // A heap gives the likeliest first, and is asked for no more of them than stay.
    const auto less_likely = [&](std::int32_t a, std::int32_t b) { return likelier(b, a); };
    const double enough = options.top_p * kept;
    auto stay = ids.end();  // from here on
    std::make_heap(ids.begin(), ids.end(), less_likely);
    for (kept = 0; kept < enough && stay != ids.begin(); kept += weight_of(*--stay)) {
      std::pop_heap(ids.begin(), stay, less_likely);
    }
    ids.erase(ids.begin(), stay);
  }
  double draw = rng.uniform() * kept;
  for (const std::int32_t id : ids) {
    if ((draw -= weight_of(id)) < 0) return id;
  }
  return ids.back();
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
  const ModelFolder model = open_model_folder(options.checkpoint);
  options.device == "cpu" ? generate_on<cria::Cpu>(options, model) : cuda_part()->generate(options, model);
}

}  // namespace pretrain
