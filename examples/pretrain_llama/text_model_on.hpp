#pragma once
/// The model that writes of each dtype, for every backend: nvcc compiles it for the GPU.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "cria/cria.hpp"
#include "cria/io/io.hpp"
#include "text_model.hpp"

namespace pretrain {

template <class T, class B>
class LlamaTextModel final : public TextModel {
  using Tokens = cria::Tensor<std::int32_t, B>;
  using Caches = std::vector<cria::nn::KeyValueCache<T, B>>;

  struct LlamaMemory final : Memory {
    explicit LlamaMemory(Caches given) : caches(std::move(given)) {}
    std::int64_t length() const override { return caches.front().length(); }
    void clear() override {
      for (auto& cache : caches) cache.truncate(0);
    }
    Caches caches;  // one for each layer
  };

 public:
  explicit LlamaTextModel(const ModelFolder& folder)
      : weights_(folder.path / "model.safetensors"), model_(folder.description.config) {
    cria::io::load_state(weights_, cria::nn::state_dict(model_));
  }

  std::unique_ptr<Memory> memory(std::int64_t capacity) const override {
    return std::make_unique<LlamaMemory>(model_.make_caches(1, capacity));
  }

  std::unique_ptr<Memory> copy(const Memory& memory, std::int64_t capacity) const override {
    Caches caches;
    for (const auto& cache : static_cast<const LlamaMemory&>(memory).caches) {
      caches.push_back(cache.copy(capacity));
    }
    return std::make_unique<LlamaMemory>(std::move(caches));
  }

  Scores read(std::span<const std::int32_t> tokens, Memory& memory) const override {
    return as_scores(model_.next_logits(Tokens::from({1, std::ssize(tokens)}, tokens), caches_of(memory)));
  }

  Scores read_next(std::span<const std::int32_t> tokens, std::span<Memory* const> texts) const override {
    Scores all;
    for (std::size_t first = 0; first < texts.size(); first += texts_at_once) {
      const std::size_t count = std::min(texts_at_once, texts.size() - first);
      std::vector<std::span<cria::nn::KeyValueCache<T, B>>> caches;
      for (Memory* memory : texts.subspan(first, count)) caches.push_back(caches_of(*memory));
      const auto next = Tokens::from({std::ssize(caches), 1}, tokens.subspan(first, count));
      const Scores scores = as_scores(model_.next_logits(next, caches));
      all.insert(all.end(), scores.begin(), scores.end());
    }
    return all;
  }

 private:
  static std::span<cria::nn::KeyValueCache<T, B>> caches_of(Memory& memory) {
    return static_cast<LlamaMemory&>(memory).caches;
  }
  Scores as_scores(const cria::Tensor<T, B>& logits) const {
    const auto values = logits.to_vector();
    Scores scores(values.size());
    std::transform(values.begin(), values.end(), scores.begin(), [](T x) { return static_cast<float>(x); });
    if (!std::ranges::all_of(scores, [](float score) { return std::isfinite(score); })) {
      throw cria::FileError(weights_.string(),
                            "gives scores that are no finite numbers, as a model that has diverged does");
    }
    return scores;
  }

  std::filesystem::path weights_;
  cria::nn::LlamaForCausalLM<T, B> model_;
};

/// In the dtype of the folder. Throws cria::FileError for one that cria has not.
template <class B>
std::unique_ptr<TextModel> text_model_on(const ModelFolder& folder) {
  const std::string& dtype = folder.description.dtype;
  if (dtype == "float32") return std::make_unique<LlamaTextModel<float, B>>(folder);
  if (dtype == "bfloat16") return std::make_unique<LlamaTextModel<cria::bfloat16, B>>(folder);
  if (dtype == "float16") return std::make_unique<LlamaTextModel<cria::float16, B>>(folder);
  throw cria::FileError((folder.path / "config.json").string(),
                        "its dtype is " + dtype + "; allowed: float32, bfloat16, float16");
}

}  // namespace pretrain
