#include "generate.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "cria/cria.hpp"
#include "cria/io/io.hpp"
#include "tokenizer.hpp"

namespace pretrain {

namespace {

/// Draws a token: softmax(logits / temperature) over the `top_k` likeliest, of which only the likeliest whose
/// probabilities reach `top_p` together stay (Holtzman et al. 2020). Temperature 0 takes the likeliest.
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

template <class T>
void generate_from(const GenerateOptions& options, const std::filesystem::path& folder,
                   const cria::nn::LlamaConfig& config, const Tokenizer& tokenizer) {
  using Tokens = cria::Tensor<std::int32_t>;
  cria::nn::LlamaForCausalLM<T> model(config);
  cria::io::load_state(folder / "model.safetensors", cria::nn::state_dict(model));
  std::vector<std::int32_t> prompt{tokenizer.bos()};
  for (const std::int32_t id : tokenizer.encode(options.prompt)) prompt.push_back(id);
  const auto limit = static_cast<std::size_t>(config.max_position_embeddings);
  for (std::int64_t s = 0; s < options.num_samples; ++s) {
    cria::Rng rng = cria::Rng(options.seed).split(static_cast<std::uint64_t>(s));
    std::vector<std::int32_t> text = prompt;
    std::vector<cria::nn::KeyValueCache<T>> caches;
    std::size_t seen = 0;  // tokens of `text` that the caches hold, from `begin` on
    std::size_t begin = prompt.size() > limit ? prompt.size() - limit / 2 : 0;
    for (std::int64_t i = 0; i < options.max_new_tokens; ++i) {
      if (text.size() - begin > limit) {  // the context is full: go on with its second half
        begin = text.size() - std::max<std::size_t>(1, limit / 2);
        seen = 0;
        caches.clear();
      }
      const std::span<const std::int32_t> next = std::span(text).subspan(begin + seen);
      const auto scores = model.next_logits(Tokens::from({1, std::ssize(next)}, next), caches).to_vector();
      seen += next.size();
      std::vector<double> logits(scores.size());
      std::transform(scores.begin(), scores.end(), logits.begin(),
                     [](T score) { return static_cast<double>(static_cast<float>(score)); });
      if (!std::ranges::all_of(logits, [](double logit) { return std::isfinite(logit); })) {
        throw cria::FileError((folder / "model.safetensors").string(),
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

}  // namespace

void generate(const GenerateOptions& options) {
  const auto require = [](bool allowed, const char* sentence) {
    if (!allowed) throw cria::ConfigError(sentence);
  };
  require(options.max_new_tokens >= 0, "--max_new_tokens must be at least 0");
  require(options.num_samples >= 1, "--num_samples must be at least 1");
  require(options.temperature >= 0 && std::isfinite(options.temperature),
          "--temperature must be a number from 0 on");
  require(options.top_k >= 0, "--top_k must be at least 0; 0 means all tokens");
  require(options.top_p > 0 && options.top_p <= 1, "--top_p must be above 0 and at most 1");
  const std::filesystem::path folder = options.checkpoint;
  if (!std::filesystem::is_directory(folder)) {
    throw cria::FileError(folder.string(),
                          "is not a folder; --checkpoint must name one that `train` wrote, such as "
                          "output/best");
  }
  if (std::filesystem::exists(folder / "manifest.json")) cria::io::verify_folder(folder);
  const auto description = cria::io::read_llama_config(folder / "config.json");
  const auto tokenizer_path = folder / "tokenizer.model";
  const Tokenizer tokenizer(cria::io::read_file(tokenizer_path), tokenizer_path.string());
  if (tokenizer.size() != description.config.vocab_size) {
    throw cria::FileError(tokenizer_path.string(), "has " + std::to_string(tokenizer.size()) +
                                                       " pieces; the model's vocab_size is " +
                                                       std::to_string(description.config.vocab_size));
  }
  if (description.dtype == "float32") {
    generate_from<float>(options, folder, description.config, tokenizer);
  } else if (description.dtype == "bfloat16") {
    generate_from<cria::bfloat16>(options, folder, description.config, tokenizer);
  } else if (description.dtype == "float16") {
    generate_from<cria::float16>(options, folder, description.config, tokenizer);
  } else {
    throw cria::FileError((folder / "config.json").string(),
                          "its dtype is " + description.dtype + "; allowed: float32, bfloat16, float16");
  }
}

}  // namespace pretrain
