#pragma once

#include "cria/nn/costs.hpp"
#include "cria/nn/llama.hpp"

namespace cria::nn {

/// What a Llama, or another of its family, costs.
inline Costs costs(const LlamaConfig& c) {
  const auto number = [](std::int64_t size) { return static_cast<double>(size); };
  const std::int64_t layer_count = c.num_hidden_layers;
  const double d = number(c.hidden_size), h = number(c.intermediate_size), q = number(c.query_size()),
               kv = number(c.key_value_size()), layers = number(layer_count),
               vocabulary = number(c.vocab_size);
  const double biases = (c.attention_bias == AttentionBias::none ? 0 : q + 2 * kv) +
                        (c.attention_bias == AttentionBias::all ? d : 0) + (c.mlp_bias ? 2 * h + d : 0);
  const double norms = 2 * d + (c.query_key_norm ? 2 * number(c.head_size()) : 0);
  Costs costs;
  costs.parameters = (c.tie_word_embeddings ? 1 : 2) * vocabulary * d +
                     layers * (2 * d * q + 2 * d * kv + 3 * d * h + biases + norms) + d;
  const auto add_products = [&](std::int64_t in, std::int64_t out, std::int64_t of_a_layer) {
    for (Product& product : costs.products) {  // one entry for each shape, since each is measured
      if (product.in != in || product.out != out) continue;
      product.count += of_a_layer * layer_count;
      return;
    }
    costs.products.push_back({in, out, of_a_layer * layer_count});
  };
  add_products(c.hidden_size, c.query_size(), 1);       // q_proj
  add_products(c.query_size(), c.hidden_size, 1);       // o_proj
  add_products(c.hidden_size, c.key_value_size(), 2);   // k_proj, v_proj
  add_products(c.hidden_size, c.intermediate_size, 2);  // gate_proj, up_proj
  add_products(c.intermediate_size, c.hidden_size, 1);  // down_proj
  costs.head = {c.hidden_size, c.vocab_size, 1, 256};
  costs.attention_width = layers * q;

  // Of a layer. `all` is what it holds when what it forgot is computed again.
  const double attention = 2 * q + 2 * kv,  // q and the heads' outputs, k and v
      mlp = 2 * h;                          // gate and up
  const double cheap = 2 * d + h;           // outputs of the norms; the gated product
  const bool keeps_cheap = c.recompute == Recompute::none;
  const double all = 2 * d + attention + mlp + (keeps_cheap ? cheap : 0);
  const double kept = c.recompute == Recompute::layer       ? d
                      : c.recompute == Recompute::attention ? all - attention
                      : c.recompute == Recompute::mlp       ? all - mlp
                                                            : all;
  costs.kept = layers * kept + 2 * d;  // the last norm's input and output
  costs.kept_float =
      layers * (2 + number(c.num_attention_heads));  // two reciprocals of norms and a logarithm per head
  costs.working = (keeps_cheap ? 0 : d + h) + all - kept + 3 * h + 4 * d;
  return costs;
}

}  // namespace cria::nn
