#include "sample_text.hpp"

#include <algorithm>
#include <cmath>

#include "sampler.hpp"

namespace pretrain {

std::string sample_text(TrainingStep& step, const Tokenizer& tokenizer, const TrainOptions& options) {
  SamplingOptions as_generate_does;
  as_generate_does.seed = options.seed;
  Sampler sampler(as_generate_does, {}, 0);
  const auto choose = [&](const std::vector<float>& scores) -> std::optional<std::int32_t> {
    if (!std::ranges::all_of(scores, [](float score) { return std::isfinite(score); })) return {};
    const std::int32_t id = sampler.choose(scores);
    if (id == tokenizer.bos() || id == tokenizer.eos()) return {};
    return id;
  };
  const std::int64_t most = std::min<std::int64_t>(options.max_seq_len, 256);
  return tokenizer.decode(step.write(tokenizer.bos(), most, choose));
}

}  // namespace pretrain
