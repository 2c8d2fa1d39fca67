#pragma once
/// Llama: Touvron et al. 2023. Fields are named as in Hugging Face's checkpoints, so names need no table.

#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cria/nn/cache.hpp"
#include "cria/nn/dropout.hpp"
#include "cria/nn/embedding.hpp"
#include "cria/nn/init.hpp"
#include "cria/nn/linear.hpp"
#include "cria/nn/module.hpp"
#include "cria/nn/recompute.hpp"
#include "cria/nn/residual.hpp"
#include "cria/nn/rms_norm.hpp"
#include "cria/ops/attention.hpp"
#include "cria/ops/cross_entropy.hpp"
#include "cria/ops/elementwise.hpp"
#include "cria/ops/rearrange.hpp"
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

/// Which of attention's projections have a bias.
enum class AttentionBias {
  none,
  query_key_value,  // as in Qwen2
  all,              // these, and the output's: attention_bias of config.json
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
  RotaryFrequencies rope_parameters;  // rope_theta and rope_scaling
  bool tie_word_embeddings = true;
  std::int64_t head_dim = 0;  // 0: hidden_size / num_attention_heads
  // What Llama has not, but others of its family:
  AttentionBias attention_bias = AttentionBias::none;
  bool mlp_bias = false;
  bool query_key_norm = false;  // of each head, before the rotation, as in Qwen3
  // cria's own:
  float dropout = 0.0f;  // after the embedding, attention's output and the MLP's
  Recompute recompute = Recompute::cheap;

  /// Elements of a head, and of all of them together: queries, and keys or values.
  std::int64_t head_size() const { return head_dim == 0 ? hidden_size / num_attention_heads : head_dim; }
  std::int64_t query_size() const { return num_attention_heads * head_size(); }
  std::int64_t key_value_size() const { return num_key_value_heads * head_size(); }

  friend bool operator==(const LlamaConfig&, const LlamaConfig&) = default;

  /// The most of any size, and of all heads together: the elements of every weight can then be counted.
  static constexpr std::int64_t largest_size = std::int64_t{1} << 29;

  /// Throws ConfigError, naming the field and what is allowed.
  void check() const {
    const auto within = [](const char* name, std::int64_t value, std::int64_t largest) {
      if (value >= 1 && value <= largest) return;
      throw ConfigError(std::string(name) + " is " + std::to_string(value) + "; it must be at " +
                        (value < 1 ? "least 1" : "most " + std::to_string(largest)));
    };
    const auto size = [&](const char* name, std::int64_t value) { within(name, value, largest_size); };
    const auto multiple = [](const char* name, std::int64_t value, const char* of, std::int64_t divisor) {
      if (value % divisor == 0) return;
      throw ConfigError(std::string(name) + " = " + std::to_string(value) + " must be a multiple of " + of +
                        " = " + std::to_string(divisor));
    };
    size("vocab_size", vocab_size);
    size("hidden_size", hidden_size);
    size("intermediate_size", intermediate_size);
    size("num_hidden_layers", num_hidden_layers);
    size("num_attention_heads", num_attention_heads);
    size("num_key_value_heads", num_key_value_heads);
    within("max_position_embeddings", max_position_embeddings, RotaryFrequencies::max_positions);
    if (!(rms_norm_eps >= 0.0f && std::isfinite(rms_norm_eps))) {
      throw ConfigError("rms_norm_eps is " + std::to_string(rms_norm_eps) +
                        "; it must be a number from 0 on");
    }
    multiple("num_attention_heads", num_attention_heads, "num_key_value_heads", num_key_value_heads);
    if (head_dim == 0) {
      multiple("hidden_size", hidden_size, "num_attention_heads", num_attention_heads);
    } else {
      size("head_dim", head_dim);
      size("num_attention_heads * head_dim", query_size());
    }
    if (head_size() % 2 != 0) {
      throw ConfigError(std::string(head_dim == 0 ? "hidden_size / num_attention_heads" : "head_dim") +
                        " = " + std::to_string(head_size()) +
                        " must be even, because rotary embeddings turn pairs");
    }
    rope_parameters.check("rope_parameters");
    if (!(dropout >= 0.0f && dropout < 1.0f)) {
      throw ConfigError("dropout is " + std::to_string(dropout) + "; it must be in [0, 1)");
    }
  }
};

/// Causal self-attention with rotary positions and grouped key/value heads. x [batch, length, hidden] -> same
/// shape.
template <FloatingPoint T, class B = DefaultBackend>
struct LlamaAttention {
  Linear<T, B> q_proj, k_proj, v_proj, o_proj;
  std::optional<RmsNorm<T, B>> q_norm, k_norm;
  std::int64_t head_dim;
  RotaryFrequencies frequencies;

  explicit LlamaAttention(const LlamaConfig& c)
      : q_proj(c.hidden_size, c.query_size(), {.bias = c.attention_bias != AttentionBias::none}),
        k_proj(c.hidden_size, c.key_value_size(), {.bias = c.attention_bias != AttentionBias::none}),
        v_proj(c.hidden_size, c.key_value_size(), {.bias = c.attention_bias != AttentionBias::none}),
        o_proj(c.query_size(), c.hidden_size, {.bias = c.attention_bias == AttentionBias::all}),
        head_dim(c.head_size()),
        frequencies(c.rope_parameters) {
    if (c.query_key_norm) {
      q_norm.emplace(head_dim, c.rms_norm_eps);
      k_norm.emplace(head_dim, c.rms_norm_eps);
    }
  }
  template <class From, class Source>
  explicit LlamaAttention(const LlamaAttention<From, Source>& other)
      : q_proj(other.q_proj),
        k_proj(other.k_proj),
        v_proj(other.v_proj),
        o_proj(other.o_proj),
        q_norm(other.q_norm),
        k_norm(other.k_norm),
        head_dim(other.head_dim),
        frequencies(other.frequencies) {}

  /// With caches x are the next positions after those in them, which see them, too, and are added to them.
  /// The texts in x are those of the caches, in order.
  Tensor<T, B> operator()(const Tensor<T, B>& x, std::span<KeyValueCache<T, B>* const> caches = {}) const {
    const auto q = in_heads(q_proj(x), q_norm), k = in_heads(k_proj(x), k_norm), v = in_heads(v_proj(x), {});
    return o_proj(reshape(attend(q, k, v, caches), x.shape().with_dim(-1, q.dim(2) * head_dim)));
  }

  static void visit(auto& self, auto&& field) {
    field("q_proj", self.q_proj);
    field("k_proj", self.k_proj);
    field("v_proj", self.v_proj);
    field("o_proj", self.o_proj);
    field("q_norm", self.q_norm);
    field("k_norm", self.k_norm);
  }

 private:
  /// x [batch, length, heads * head_dim] -> [batch, length, heads, head_dim], each head normed if there is a
  /// norm.
  Tensor<T, B> in_heads(const Tensor<T, B>& x, const std::optional<RmsNorm<T, B>>& norm) const {
    const auto y = reshape(x, {x.dim(0), x.dim(1), x.dim(2) / head_dim, head_dim});
    return norm ? (*norm)(y) : y;
  }

  /// Attention of rotated queries and keys [batch, length, heads, head_dim] -> q's shape.
  Tensor<T, B> attend(const Tensor<T, B>& q, const Tensor<T, B>& k, const Tensor<T, B>& v,
                      std::span<KeyValueCache<T, B>* const> caches) const {
    if (caches.empty()) {
      const auto [rotated_q, rotated_k] = rope(q, k, 0, frequencies);
      return attention(rotated_q, rotated_k, v);
    }
    if (caches.size() == 1) return attend(q, k, v, *caches.front());
    std::vector<Tensor<T, B>> parts;
    std::int64_t first = 0;
    for (KeyValueCache<T, B>* cache : caches) {
      const auto of_cache = [&](const Tensor<T, B>& all) {
        return slice(all, 0, first, first + cache->batch());
      };
      parts.push_back(attend(of_cache(q), of_cache(k), of_cache(v), *cache));
      first += cache->batch();
    }
    return concat(parts, 0);
  }
  Tensor<T, B> attend(const Tensor<T, B>& q, const Tensor<T, B>& k, const Tensor<T, B>& v,
                      KeyValueCache<T, B>& cache) const {
    const auto [rotated_q, rotated_k] = rope(q, k, cache.length(), frequencies);
    cache.append(rotated_k, v);
    return attention(rotated_q, cache.keys(), cache.values());
  }
};

/// down(silu(gate(x)) * up(x)). x [..., hidden] -> [..., hidden].
template <FloatingPoint T, class B = DefaultBackend>
struct LlamaMLP {
  Linear<T, B> gate_proj, up_proj, down_proj;
  Recompute recompute;

  explicit LlamaMLP(const LlamaConfig& c)
      : gate_proj(c.hidden_size, c.intermediate_size, {.bias = c.mlp_bias}),
        up_proj(c.hidden_size, c.intermediate_size, {.bias = c.mlp_bias}),
        down_proj(c.intermediate_size, c.hidden_size, {.bias = c.mlp_bias}),
        recompute(c.recompute) {}
  template <class From, class Source>
  explicit LlamaMLP(const LlamaMLP<From, Source>& other)
      : gate_proj(other.gate_proj),
        up_proj(other.up_proj),
        down_proj(other.down_proj),
        recompute(other.recompute) {}

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

/// x = x + attention(norm(x)); x = x + mlp(norm(x)). x [batch, length, hidden].
template <FloatingPoint T, class B = DefaultBackend>
struct LlamaDecoderLayer {
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
  template <class From, class Source>
  explicit LlamaDecoderLayer(const LlamaDecoderLayer<From, Source>& other)
      : input_layernorm(other.input_layernorm),
        self_attn(other.self_attn),
        post_attention_layernorm(other.post_attention_layernorm),
        mlp(other.mlp),
        dropout(other.dropout),
        recompute(other.recompute) {}

  void operator()(Residual<T, B>& x, std::span<KeyValueCache<T, B>* const> caches = {}) const {
    if (recompute != Recompute::layer) return blocks(x, caches);
    const auto layer = [self = *this, caches](const Tensor<T, B>& input) {
      Residual path(input);
      self.blocks(path, caches);
      return path.value();
    };
    x = Residual(nn::recompute(layer, x.value()));
  }

  static void visit(auto& self, auto&& field) {
    field("input_layernorm", self.input_layernorm);
    field("self_attn", self.self_attn);
    field("post_attention_layernorm", self.post_attention_layernorm);
    field("mlp", self.mlp);
  }

 private:
  void blocks(Residual<T, B>& x, std::span<KeyValueCache<T, B>* const> caches) const {
    auto attend = [self = self_attn, caches](const Tensor<T, B>& h) { return self(h, caches); };
    x.add(block(Recompute::attention, std::move(attend), x.norm(input_layernorm)));
    x.add(block(Recompute::mlp, mlp, x.norm(post_attention_layernorm)));
  }

  /// dropout(inner(normed)), which is called `name` among what can be computed again.
  template <class M>
  Tensor<T, B> block(Recompute name, M inner, const Tensor<T, B>& normed) const {
    const auto compute = [inner = std::move(inner), last = dropout](const Tensor<T, B>& x) {
      return last(inner(x));
    };
    const auto y = recompute == name ? nn::recompute(compute, normed) : compute(normed);
    if (recompute != Recompute::none) normed.forget();
    return y;
  }
};

/// Embedding, layers and the last norm. tokens [batch, length] -> [batch, length, hidden].
template <FloatingPoint T, class B = DefaultBackend>
struct LlamaModel {
  using Caches = std::span<KeyValueCache<T, B>>;  // one for each layer

  Embedding<T, B> embed_tokens;
  std::vector<LlamaDecoderLayer<T, B>> layers;
  RmsNorm<T, B> norm;
  Dropout dropout;

  explicit LlamaModel(const LlamaConfig& c)
      : embed_tokens(c.vocab_size, c.hidden_size), norm(c.hidden_size, c.rms_norm_eps), dropout{c.dropout} {
    for (std::int64_t i = 0; i < c.num_hidden_layers; ++i) layers.emplace_back(c);
  }
  template <class From, class Source>
  explicit LlamaModel(const LlamaModel<From, Source>& other)
      : embed_tokens(other.embed_tokens),
        layers(other.layers.begin(), other.layers.end()),
        norm(other.norm),
        dropout(other.dropout) {}

  /// With caches the tokens are the next ones after those in them. Throws what check_caches does.
  Tensor<T, B> operator()(const Tensor<std::int32_t, B>& tokens, Caches caches = {}) const {
    return (*this)(tokens, caches.empty() ? std::span<const Caches>() : std::span(&caches, 1));
  }
  /// The same for several caches of each layer, the first of which hold the first texts, and so on; they may
  /// hold different numbers of positions.
  Tensor<T, B> operator()(const Tensor<std::int32_t, B>& tokens, std::span<const Caches> texts) const {
    if (!texts.empty()) check_caches(tokens, texts);
    Residual<T, B> x(dropout(embed_tokens(tokens)));
    std::vector<KeyValueCache<T, B>*> of_layer(texts.size());
    for (std::size_t i = 0; i < layers.size(); ++i) {
      for (std::size_t text = 0; text < texts.size(); ++text) of_layer[text] = &texts[text][i];
      layers[i](x, of_layer);
    }
    return x.norm(norm);
  }

  /// Throws ShapeError unless the caches are one for each layer and hold the same number of positions, and
  /// together are of as many texts as `tokens` [batch, length].
  void check_caches(const Tensor<std::int32_t, B>& tokens, std::span<const Caches> texts) const {
    std::int64_t batch = 0;
    for (const Caches& caches : texts) {
      if (caches.size() != layers.size()) {
        throw ShapeError("LlamaModel: there are " + std::to_string(caches.size()) +
                         " caches; each of the model's " + std::to_string(layers.size()) +
                         " layers needs one");
      }
      for (const auto& cache : caches) {
        if (cache.length() == caches.front().length()) continue;
        throw ShapeError("LlamaModel: one cache holds " + std::to_string(caches.front().length()) +
                         " positions and another one " + std::to_string(cache.length()) +
                         "; all layers' must hold the same");
      }
      batch += caches.front().batch();
    }
    check::rank("LlamaModel", {"tokens", tokens.shape()}, 2);
    if (batch != tokens.dim(0)) {
      throw ShapeError("LlamaModel: tokens is " + to_string(tokens.shape()) + "; the caches are of " +
                       std::to_string(batch) + " texts");
    }
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
  template <class From, class Source>
  explicit LlamaForCausalLM(const LlamaForCausalLM<From, Source>& other)
      : config(other.config), model(other.model), lm_head(other.lm_head) {}

  /// Scores of the next token. tokens [batch, length] -> [batch, length, vocab].
  Tensor<T, B> logits(const Tensor<std::int32_t, B>& tokens) const {
    check_length(tokens);
    return linear(model(tokens), head());
  }

  /// Empty caches for `batch` texts of up to `capacity` tokens, one for each layer.
  std::vector<KeyValueCache<T, B>> make_caches(std::int64_t batch, std::int64_t capacity) const {
    std::vector<KeyValueCache<T, B>> caches;
    for (std::size_t i = 0; i < model.layers.size(); ++i) {
      caches.emplace_back(batch, capacity, config.num_key_value_heads, config.head_size());
    }
    return caches;
  }

  /// Scores of the token after the last of each text. tokens [batch, length], the next ones after those in
  /// `caches`, which then hold them, too -> [batch, vocab]. Throws ShapeError if the caches are not one for
  /// each layer, do not hold the same number of positions, or have no room.
  Tensor<T, B> next_logits(const Tensor<std::int32_t, B>& tokens,
                           std::span<KeyValueCache<T, B>> caches) const {
    return next_logits(tokens, std::span<const std::span<KeyValueCache<T, B>>>(&caches, 1));
  }
  /// The same for texts of different lengths: those of the first caches, which may be one or several, come
  /// first in the batch, and so on.
  Tensor<T, B> next_logits(const Tensor<std::int32_t, B>& tokens,
                           std::span<const std::span<KeyValueCache<T, B>>> texts) const {
    model.check_caches(tokens, texts);
    for (const auto& caches : texts) check_length(tokens, caches.front().length());
    check::not_empty("next_logits", {"tokens", tokens.shape()});
    const NoGrad guard;
    return linear(last_positions(model(tokens, texts)), head());
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
  /// Throws ShapeError if there are too many tokens, `before` of which the model has seen.
  void check_length(const Tensor<std::int32_t, B>& tokens, std::int64_t before = 0) const {
    check::rank("LlamaForCausalLM", {"tokens", tokens.shape()}, 2);
    if (before + tokens.dim(1) <= config.max_position_embeddings) return;
    throw ShapeError("LlamaForCausalLM: tokens is " + to_string(tokens.shape()) +
                     (before > 0 ? " after " + std::to_string(before) + " others" : "") +
                     "; at most max_position_embeddings = " + std::to_string(config.max_position_embeddings) +
                     " positions are allowed");
  }
  /// x [batch, length, hidden] -> [batch, hidden], outside the graph.
  static Tensor<T, B> last_positions(const Tensor<T, B>& x) {
    const std::int64_t batch = x.dim(0), length = x.dim(1), hidden = x.dim(2);
    auto last = Tensor<T, B>::empty({batch, hidden});
    for (std::int64_t b = 0; b < batch; ++b) {
      B::copy(last.mutable_rows().row(b), x.rows().row((b + 1) * length - 1),
              static_cast<std::size_t>(hidden) * sizeof(T));
    }
    return last;
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
