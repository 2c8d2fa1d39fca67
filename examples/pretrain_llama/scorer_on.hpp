#pragma once
/// The scorer of each dtype, for every backend: nvcc compiles it for the GPU.

#include <algorithm>
#include <memory>
#include <vector>

#include "cria/cria.hpp"
#include "cria/io/io.hpp"
#include "scorer.hpp"

namespace pretrain {

template <class T, class B>
class LlamaScorer final : public Scorer {
 public:
  explicit LlamaScorer(const ModelFolder& folder) : model_(folder.description.config) {
    cria::io::load_state(folder.path / "model.safetensors", cria::nn::state_dict(model_));
  }

  std::vector<double> nats(std::span<const Passage> passages) const override {
    using Tokens = cria::Tensor<std::int32_t, B>;
    const cria::NoGrad guard;
    const std::int64_t batch = std::ssize(passages);
    std::int64_t length = 0;
    for (const Passage& passage : passages) length = std::max(length, std::ssize(passage.tokens) - 1);
    std::vector<std::int32_t>
        inputs;  // shorter ones are filled up at their end, which nothing before it sees
    for (std::int64_t b = 0; b < batch; ++b) {
      const auto tokens = passages[static_cast<std::size_t>(b)].tokens;
      inputs.insert(inputs.end(), tokens.begin(), tokens.end() - 1);
      inputs.resize(static_cast<std::size_t>((b + 1) * length));
    }
    const auto states = model_.model(Tokens::from({batch, length}, inputs));  // [batch, length, hidden]
    const auto rows = cria::reshape(states, {batch * length, states.dim(-1)});
    std::vector<cria::Tensor<cria::acc_t<T>, B>> means;
    for (std::int64_t b = 0; b < batch; ++b) {
      const auto& [tokens, counted] = passages[static_cast<std::size_t>(b)];
      const auto targets = tokens.last(static_cast<std::size_t>(counted));
      const std::int64_t end = b * length + std::ssize(tokens) - 1;
      means.push_back(cria::linear_cross_entropy(cria::slice(rows, 0, end - counted, end), model_.head(),
                                                 Tokens::from({counted}, targets)));
    }
    std::vector<double> nats;  // read only now: a device is not waited for in between
    for (std::size_t b = 0; b < means.size(); ++b) {
      nats.push_back(static_cast<double>(means[b].item()) * static_cast<double>(passages[b].counted));
    }
    return nats;
  }

 private:
  cria::nn::LlamaForCausalLM<T, B> model_;
};

/// In the dtype of the folder. Throws cria::FileError for one that cria has not.
template <class B>
std::unique_ptr<Scorer> scorer_on(const ModelFolder& folder) {
  const std::string& dtype = folder.description.dtype;
  if (dtype == "float32") return std::make_unique<LlamaScorer<float, B>>(folder);
  if (dtype == "bfloat16") return std::make_unique<LlamaScorer<cria::bfloat16, B>>(folder);
  if (dtype == "float16") return std::make_unique<LlamaScorer<cria::float16, B>>(folder);
  throw cria::FileError((folder.path / "config.json").string(),
                        "its dtype is " + dtype + "; allowed: float32, bfloat16, float16");
}

}  // namespace pretrain
