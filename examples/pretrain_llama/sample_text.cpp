#include "sample_text.hpp"

#include <algorithm>
#include <cmath>

#include "generate_on.hpp"

namespace pretrain {

std::string sample_text(TrainingStep& step, const Tokenizer& tokenizer, const TrainOptions& options) {
  const GenerateOptions as_generate_does;
  cria::Rng rng = cria::Rng(options.seed).split(3);
  const auto choose = [&](const std::vector<double>& scores) -> std::optional<std::int32_t> {
    if (!std::ranges::all_of(scores, [](double score) { return std::isfinite(score); })) return {};
    const std::int32_t id = sample(scores, as_generate_does, rng);
    if (id == tokenizer.bos() || id == tokenizer.eos()) return {};
    return id;
  };
  const std::int64_t most = std::min<std::int64_t>(options.max_seq_len, 256);
  return tokenizer.decode(step.write(tokenizer.bos(), most, choose));
}

}  // namespace pretrain
