#pragma once
/// Writing text with a trained model, on a backend.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "cria/cria.hpp"
#include "cria/io/io.hpp"
#include "generate.hpp"
#include "model_folder.hpp"

namespace pretrain {

/// Draws a token: softmax(logits / temperature) over the `top_k` likeliest, of which only the likeliest whose
/// probabilities reach `top_p` together stay (Holtzman et al. 2020). Temperature 0 takes the likeliest.
std::int32_t sample(const std::vector<double>& logits, const GenerateOptions& options, cria::Rng& rng);

template <class T, class B>
void generate_with(const GenerateOptions& options, const ModelFolder& folder) {
  using Tokens = cria::Tensor<std::int32_t, B>;
  const auto& config = folder.description.config;
  const Tokenizer tokenizer = read_tokenizer(folder);
  cria::nn::LlamaForCausalLM<T, B> model(config);
  cria::io::load_state(folder.path / "model.safetensors", cria::nn::state_dict(model));
  std::vector<std::int32_t> prompt{tokenizer.bos()};
  for (const std::int32_t id : tokenizer.encode(options.prompt)) prompt.push_back(id);
  const std::int64_t positions = config.max_position_embeddings;
  const auto limit = static_cast<std::size_t>(positions);
  auto caches = model.make_caches(
      1, std::min(positions, std::ssize(prompt) + std::min(positions, options.max_new_tokens)));
  for (std::int64_t s = 0; s < options.num_samples; ++s) {
    cria::Rng rng = cria::Rng(options.seed).split(static_cast<std::uint64_t>(s));
    std::vector<std::int32_t> text = prompt;
    std::size_t begin = 0;  // of what the model sees
    std::size_t seen = 0;   // tokens of `text` that the caches hold, from `begin` on
    for (std::int64_t i = 0; i < options.max_new_tokens; ++i) {
      if (text.size() - begin > limit) {  // the context is full: go on with its second half
        begin = text.size() - std::max<std::size_t>(1, limit / 2);
        seen = 0;
      }
      if (seen == 0) {
        for (auto& cache : caches) cache.truncate(0);
      }
      const std::span<const std::int32_t> next = std::span(text).subspan(begin + seen);
      const auto scores = model.next_logits(Tokens::from({1, std::ssize(next)}, next), caches).to_vector();
      seen += next.size();
      std::vector<double> logits(scores.size());
      std::transform(scores.begin(), scores.end(), logits.begin(),
                     [](T score) { return static_cast<double>(static_cast<float>(score)); });
      if (!std::ranges::all_of(logits, [](double logit) { return std::isfinite(logit); })) {
        throw cria::FileError((folder.path / "model.safetensors").string(),
                              "gives scores that are no finite numbers, as a model that has diverged does");
      }
      const std::int32_t id = sample(logits, options, rng);
      if (id == tokenizer.bos() || id == tokenizer.eos()) break;
      text.push_back(id);
    }
    std::printf("%s%s\n", s > 0 ? "---\n" : "", tokenizer.decode(text).c_str());
    std::fflush(stdout);
  }
}

/// Prints the texts. Throws cria::FileError for a dtype that cria has not.
template <class B>
void generate_on(const GenerateOptions& options, const ModelFolder& folder) {
  const std::string& dtype = folder.description.dtype;
  if (dtype == "float32") return generate_with<float, B>(options, folder);
  if (dtype == "bfloat16") return generate_with<cria::bfloat16, B>(options, folder);
  if (dtype == "float16") return generate_with<cria::float16, B>(options, folder);
  throw cria::FileError((folder.path / "config.json").string(),
                        "its dtype is " + dtype + "; allowed: float32, bfloat16, float16");
}

}  // namespace pretrain
