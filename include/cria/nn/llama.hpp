#pragma once
/// Llama: Touvron et al. 2023. Fields are named as in Hugging Face's checkpoints, so names need no table.

#include <cmath>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "cria/nn/dropout.hpp"
#include "cria/nn/embedding.hpp"
#include "cria/nn/init.hpp"
#include "cria/nn/linear.hpp"
#include "cria/nn/module.hpp"
#include "cria/nn/recompute.hpp"
#include "cria/nn/rms_norm.hpp"
#include "cria/ops/attention.hpp"
#include "cria/ops/cross_entropy.hpp"
#include "cria/ops/elementwise.hpp"
#include "cria/ops/reshape.hpp"
#include "cria/ops/rope.hpp"

namespace cria::nn {

/// What a Llama's layers compute again in backward instead of keeping it, to save memory. Losses and
/// gradients are the same bits for each.
enum class Recompute {
  none,
  cheap,      // the outputs of norms and of the MLP's gate
  attention,  // these, and all of attention
  mlp,        // these, and all of the MLP
  layer,      // everything but the layer's input
};

/// The model's sizes, under the names of config.json.
struct LlamaConfig {
  std::int64_t vocab_size = 4096;
  std::int64_t hidden_size = 288;
  std::int64_t intermediate_size = 768;
  std::int64_t num_hidden_layers = 8;
  std::int64_t num_attention_heads = 8;
  std::int64_t num_key_value_heads = 2;
  std::int64_t max_position_embeddings = 256;
  float rms_norm_eps = 1e-5f;
  float rope_theta = 10000.0f;
  bool tie_word_embeddings = true;
  // cria's own:
  float dropout = 0.0f;  // after the embedding, attention's output and the MLP's
  Recompute recompute = Recompute::cheap;

  std::int64_t head_dim() const { return hidden_size / num_attention_heads; }

  friend bool operator==(const LlamaConfig&, const LlamaConfig&) = default;

  /// Throws ConfigError, naming the field and what is allowed.
  void check() const {
    const auto positive = [](const char* name, std::int64_t value) {
      if (value < 1)
        throw ConfigError(std::string(name) + " is " + std::to_string(value) + "; it must be at least 1");
    };
    const auto multiple = [](const char* name, std::int64_t value, const char* of, std::int64_t divisor) {
      if (value % divisor == 0) return;
      throw ConfigError(std::string(name) + " = " + std::to_string(value) + " must be a multiple of " + of +
                        " = " + std::to_string(divisor));
    };
    positive("vocab_size", vocab_size);
    positive("hidden_size", hidden_size);
    positive("intermediate_size", intermediate_size);
    positive("num_hidden_layers", num_hidden_layers);
    positive("num_attention_heads", num_attention_heads);
    positive("num_key_value_heads", num_key_value_heads);
    positive("max_position_embeddings", max_position_embeddings);
    multiple("hidden_size", hidden_size, "num_attention_heads", num_attention_heads);
    multiple("num_attention_heads", num_attention_heads, "num_key_value_heads", num_key_value_heads);
    if (head_dim() % 2 != 0) {
      throw ConfigError("hidden_size / num_attention_heads = " + std::to_string(head_dim()) +
                        " must be even, because rotary embeddings turn pairs");
    }
    if (!(dropout >= 0.0f && dropout < 1.0f)) {
      throw ConfigError("dropout is " + std::to_string(dropout) + "; it must be in [0, 1)");
    }
  }
};

/// The keys and values of the positions that a layer has seen: [1, positions, kv_heads, head_dim] each.
template <FloatingPoint T, class B = DefaultBackend>
struct KeyValueCache {
  std::vector<T> keys, values;

  std::int64_t positions(std::int64_t row) const { return static_cast<std::int64_t>(keys.size()) / row; }
};

/// Causal self-attention with rotary positions and grouped key/value heads. x [batch, length, hidden] -> same
/// shape.
template <FloatingPoint T, class B = DefaultBackend>
struct LlamaAttention {
  Linear<T, B> q_proj, k_proj, v_proj, o_proj;
  std::int64_t heads, kv_heads, head_dim;
  float rope_theta;

  explicit LlamaAttention(const LlamaConfig& c)
      : q_proj(c.hidden_size, c.hidden_size),
        k_proj(c.hidden_size, c.num_key_value_heads * c.head_dim()),
        v_proj(c.hidden_size, c.num_key_value_heads * c.head_dim()),
        o_proj(c.hidden_size, c.hidden_size),
        heads(c.num_attention_heads),
        kv_heads(c.num_key_value_heads),
        head_dim(c.head_dim()),
        rope_theta(c.rope_theta) {}

  Tensor<T, B> operator()(const Tensor<T, B>& x) const {
    const std::int64_t batch = x.dim(0), length = x.dim(1);
    const auto [q, k] = rope(reshape(q_proj(x), {batch, length, heads, head_dim}),
                             reshape(k_proj(x), {batch, length, kv_heads, head_dim}), 0, rope_theta);
    const auto v = reshape(v_proj(x), {batch, length, kv_heads, head_dim});
    return o_proj(reshape(attention(q, k, v), x.shape()));
  }

  /// The same for the next positions of one sequence, after those in `cache`, which grows by them.
  Tensor<T, B> operator()(const Tensor<T, B>& x, KeyValueCache<T, B>& cache) const {
    const std::int64_t length = x.dim(1);
    const std::int64_t start = cache.positions(kv_heads * head_dim);
    const auto [q, k] = rope(reshape(q_proj(x), {1, length, heads, head_dim}),
                             reshape(k_proj(x), {1, length, kv_heads, head_dim}), start, rope_theta);
    const auto append = [](std::vector<T>& all, const std::vector<T>& next) {
      all.insert(all.end(), next.begin(), next.end());
    };
    append(cache.keys, k.to_vector());
    append(cache.values, v_proj(x).to_vector());
    const Shape seen{1, start + length, kv_heads, head_dim};
    const auto keys = Tensor<T, B>::from(seen, cache.keys), values = Tensor<T, B>::from(seen, cache.values);
    return o_proj(reshape(attention(q, keys, values), x.shape()));
  }

  static void visit(auto& self, auto&& field) {
    field("q_proj", self.q_proj);
    field("k_proj", self.k_proj);
    field("v_proj", self.v_proj);
    field("o_proj", self.o_proj);
  }
};

/// down(silu(gate(x)) * up(x)). x [..., hidden] -> [..., hidden].
template <FloatingPoint T, class B = DefaultBackend>
struct LlamaMLP {
  Linear<T, B> gate_proj, up_proj, down_proj;
  Recompute recompute;

  explicit LlamaMLP(const LlamaConfig& c)
      : gate_proj(c.hidden_size, c.intermediate_size),
        up_proj(c.hidden_size, c.intermediate_size),
        down_proj(c.intermediate_size, c.hidden_size),
        recompute(c.recompute) {}

  Tensor<T, B> operator()(const Tensor<T, B>& x) const {
    const auto gated = swiglu(gate_proj(x), up_proj(x));
    const auto y = down_proj(gated);
    if (recompute != Recompute::none) gated.forget();
    return y;
  }

  static void visit(auto& self, auto&& field) {
    field("gate_proj", self.gate_proj);
    field("up_proj", self.up_proj);
    field("down_proj", self.down_proj);
  }
};

/// x += attention(norm(x)); x += mlp(norm(x)). x [batch, length, hidden] -> same shape.
template <FloatingPoint T, class B = DefaultBackend>
struct LlamaDecoderLayer {
  using Path = std::pair<Tensor<T, B>, Tensor<T, B>>;  // x and a branch that is still to be added to it

  RmsNorm<T, B> input_layernorm;
  LlamaAttention<T, B> self_attn;
  RmsNorm<T, B> post_attention_layernorm;
  LlamaMLP<T, B> mlp;
  Dropout dropout;
  Recompute recompute;

  explicit LlamaDecoderLayer(const LlamaConfig& c)
      : input_layernorm(c.hidden_size, c.rms_norm_eps),
        self_attn(c),
        post_attention_layernorm(c.hidden_size, c.rms_norm_eps),
        mlp(c),
        dropout{c.dropout},
        recompute(c.recompute) {}

  /// A layer's input is x + branch, and so is its output: the norm that comes next adds them, in one pass
  /// over memory. An undefined branch is none.
  Path operator()(const Tensor<T, B>& x, const Tensor<T, B>& branch) const {
    if (recompute != Recompute::layer) return blocks(x, branch);
    const auto layer = [self = *this](const Tensor<T, B>& input) {
      const auto [h, last] = self.blocks(input, {});
      return h + last;
    };
    return {nn::recompute(layer, branch.defined() ? x + branch : x), {}};
  }

  /// The same for the next positions of one sequence.
  Tensor<T, B> operator()(const Tensor<T, B>& x, KeyValueCache<T, B>& cache) const {
    const auto h = x + self_attn(input_layernorm(x), cache);
    return h + mlp(post_attention_layernorm(h));
  }

  static void visit(auto& self, auto&& field) {
    field("input_layernorm", self.input_layernorm);
    field("self_attn", self.self_attn);
    field("post_attention_layernorm", self.post_attention_layernorm);
    field("mlp", self.mlp);
  }

 private:
  Path blocks(const Tensor<T, B>& x, const Tensor<T, B>& branch) const {
    const auto [input, normed_input] = input_layernorm(x, branch);
    const auto attended = block(Recompute::attention, self_attn, normed_input);
    const auto [h, normed] = post_attention_layernorm(input, attended);
    return {h, block(Recompute::mlp, mlp, normed)};
  }

  /// dropout(inner(normed)), which is called `name` among what can be computed again.
  template <class M>
  Tensor<T, B> block(Recompute name, const M& inner, const Tensor<T, B>& normed) const {
    const auto compute = [inner, last = dropout](const Tensor<T, B>& x) { return last(inner(x)); };
    const auto y = recompute == name ? nn::recompute(compute, normed) : compute(normed);
    if (recompute != Recompute::none) normed.forget();
    return y;
  }
};

/// Embedding, layers and the last norm. tokens [batch, length] -> [batch, length, hidden].
template <FloatingPoint T, class B = DefaultBackend>
struct LlamaModel {
  Embedding<T, B> embed_tokens;
  std::vector<LlamaDecoderLayer<T, B>> layers;
  RmsNorm<T, B> norm;
  Dropout dropout;

  explicit LlamaModel(const LlamaConfig& c)
      : embed_tokens(c.vocab_size, c.hidden_size), norm(c.hidden_size, c.rms_norm_eps), dropout{c.dropout} {
    for (std::int64_t i = 0; i < c.num_hidden_layers; ++i) layers.emplace_back(c);
  }

  Tensor<T, B> operator()(const Tensor<std::int32_t, B>& tokens) const {
    Tensor<T, B> x = dropout(embed_tokens(tokens)), branch;
    for (const auto& layer : layers) std::tie(x, branch) = layer(x, branch);
    return norm(x, branch).second;
  }

  /// The same for the next tokens [1, length] of one sequence; `caches` has one entry per layer.
  Tensor<T, B> operator()(const Tensor<std::int32_t, B>& tokens,
                          std::vector<KeyValueCache<T, B>>& caches) const {
    auto x = embed_tokens(tokens);
    for (std::size_t i = 0; i < layers.size(); ++i) x = layers[i](x, caches[i]);
    return norm(x);
  }

  static void visit(auto& self, auto&& field) {
    field("embed_tokens", self.embed_tokens);
    field("layers", self.layers);
    field("norm", self.norm);
  }
};

/// A Llama that predicts the next token. With tied embeddings the head is embed_tokens.weight, listed once.
template <FloatingPoint T, class B = DefaultBackend>
struct LlamaForCausalLM {
  LlamaConfig config;
  LlamaModel<T, B> model;
  std::optional<Linear<T, B>> lm_head;  // none if tied

  /// Uninitialised. Throws ConfigError for sizes that do not fit together.
  explicit LlamaForCausalLM(const LlamaConfig& c) : config(checked(c)), model(c) {
    if (!c.tie_word_embeddings) lm_head.emplace(c.hidden_size, c.vocab_size);
  }

  /// Scores of the next token. tokens [batch, length] -> [batch, length, vocab].
  Tensor<T, B> logits(const Tensor<std::int32_t, B>& tokens) const {
    check_length(tokens);
    return linear(model(tokens), head());
  }

  /// Scores of the token after the last of one sequence. tokens [1, length], the next ones after those in
  /// `caches` (one per layer) -> [vocab].
  Tensor<T, B> next_logits(const Tensor<std::int32_t, B>& tokens,
                           std::vector<KeyValueCache<T, B>>& caches) const {
    const NoGrad guard;
    caches.resize(model.layers.size());
    const auto x = model(tokens, caches).to_vector();
    const auto hidden = static_cast<std::ptrdiff_t>(config.hidden_size);
    return linear(Tensor<T, B>::from({config.hidden_size}, std::vector<T>(x.end() - hidden, x.end())),
                  head());
  }

  /// Mean cross-entropy of `targets` in nats. tokens, targets [batch, length] -> [].
  Tensor<acc_t<T>, B> loss(const Tensor<std::int32_t, B>& tokens,
                           const Tensor<std::int32_t, B>& targets) const {
    check_length(tokens);
    return linear_cross_entropy(model(tokens), head(), targets);
  }

  const Parameter<T, B>& head() const { return lm_head ? lm_head->weight : model.embed_tokens.weight; }

  static void visit(auto& self, auto&& field) {
    field("model", self.model);
    field("lm_head", self.lm_head);
  }

 private:
  static const LlamaConfig& checked(const LlamaConfig& c) {
    c.check();
    return c;
  }
  void check_length(const Tensor<std::int32_t, B>& tokens) const {
    check::rank("LlamaForCausalLM", {"tokens", tokens.shape()}, 2);
    if (tokens.dim(1) <= config.max_position_embeddings) return;
    throw ShapeError("LlamaForCausalLM: tokens is " + to_string(tokens.shape()) +
                     "; at most max_position_embeddings = " + std::to_string(config.max_position_embeddings) +
                     " positions are allowed");
  }
};

/// Which matrices are scaled down by 1 / sqrt(2 layers), because their outputs are summed up along the
/// residual path.
enum class ResidualScaling {
  output_projections,  // self_attn.o_proj and mlp.down_proj, as GPT-2 does
  llama2c,             // self_attn.o_proj and mlp.up_proj: llama2.c's slip, to compare with its runs
};

/// Initialises for training: normal(0, 0.02), residual projections 0.02 / sqrt(2 layers), norms 1.
template <class T, class B>
void initialize(LlamaForCausalLM<T, B>& model, Rng rng,
                ResidualScaling scaling = ResidualScaling::output_projections) {
  const char* mlp = scaling == ResidualScaling::llama2c ? "up_proj.weight" : "down_proj.weight";
  const double residual = 0.02 / std::sqrt(2.0 * static_cast<double>(model.config.num_hidden_layers));
  std::uint64_t index = 0;
  for_each_parameter(model, [&](const std::string& name, Parameter<T, B>& parameter) {
    const Rng own = rng.split(index++);
    if (parameter.constant()) {
      fill(parameter, *parameter.constant());
    } else {
      const bool on_residual_path = name.ends_with("o_proj.weight") || name.ends_with(mlp);
      fill_normal(parameter, on_residual_path ? residual : 0.02, own);
    }
  });
}

}  // namespace cria::nn
