#pragma once

#include "cria/nn/costs.hpp"
#include "cria/nn/llama.hpp"

namespace cria::nn {

/// What a Llama costs.
inline Costs costs(const LlamaConfig& c) {
  const std::int64_t layer_count = c.num_hidden_layers, kv_width = c.num_key_value_heads * c.head_dim();
  const auto d = static_cast<double>(c.hidden_size), h = static_cast<double>(c.intermediate_size),
             kv = static_cast<double>(kv_width), heads = static_cast<double>(c.num_attention_heads),
             layers = static_cast<double>(layer_count), vocabulary = static_cast<double>(c.vocab_size);
  Costs costs;
  costs.parameters = (c.tie_word_embeddings ? 1 : 2) * vocabulary * d +
                     layers * (2 * d * d + 2 * d * kv + 3 * d * h + 2 * d) + d;
  costs.products = {
      {c.hidden_size, c.hidden_size, 2 * layer_count},        // q_proj, o_proj
      {c.hidden_size, kv_width, 2 * layer_count},             // k_proj, v_proj
      {c.hidden_size, c.intermediate_size, 2 * layer_count},  // gate_proj, up_proj
      {c.intermediate_size, c.hidden_size, layer_count},      // down_proj
  };
  costs.head = {c.hidden_size, c.vocab_size, 1, 256};
  costs.attention_width = layers * d;

  // Of a layer. `all` is what it holds when what it forgot is computed again.
  const double attention = 2 * d + 2 * kv,  // q and the heads' outputs, k and v
      mlp = 2 * h;                          // gate and up
  const double cheap = 2 * d + h;           // outputs of the norms; the gated product
  const bool keeps_cheap = c.recompute == Recompute::none;
  const double all = 2 * d + attention + mlp + (keeps_cheap ? cheap : 0);
  const double kept = c.recompute == Recompute::layer       ? d
                      : c.recompute == Recompute::attention ? all - attention
                      : c.recompute == Recompute::mlp       ? all - mlp
                                                            : all;
  costs.kept = layers * kept + 2 * d;       // the last norm's input and output
  costs.kept_float = layers * (2 + heads);  // two reciprocals of norms and a logarithm per head
  costs.working = (keeps_cheap ? 0 : d + h) + all - kept + 3 * h + 4 * d;
  costs.widened = d + h + kv;
  costs.widened_weights = d * (h + d + kv);
  return costs;
}

}  // namespace cria::nn
