#include "llama_model.hpp"

#include "cria/io/llama_config.hpp"
#include "cria/nn/llama_costs.hpp"

namespace pretrain {

cria::nn::LlamaConfig llama_config(const TrainOptions& options) {
  cria::nn::LlamaConfig config;
  config.vocab_size = options.vocab_size;
  config.hidden_size = options.dim;
  config.intermediate_size =
      (8 * options.dim / 3 + options.multiple_of - 1) / options.multiple_of * options.multiple_of;
  config.num_hidden_layers = options.n_layers;
  config.num_attention_heads = options.n_heads;
  config.num_key_value_heads = options.n_kv_heads;
  config.max_position_embeddings = options.max_seq_len;
  config.dropout = static_cast<float>(options.dropout);
  config.recompute = options.recompute == "none"        ? cria::nn::Recompute::none
                     : options.recompute == "attention" ? cria::nn::Recompute::attention
                     : options.recompute == "mlp"       ? cria::nn::Recompute::mlp
                     : options.recompute == "layer"     ? cria::nn::Recompute::layer
                                                        : cria::nn::Recompute::cheap;
  return config;
}

cria::nn::Costs model_costs(const TrainOptions& options) {
  return cria::nn::costs(llama_config(options));
}

void write_model_config(const std::filesystem::path& path, const TrainOptions& options) {
  cria::io::write_llama_config(path, {llama_config(options), options.dtype});
}

std::string read_model_dtype(const std::filesystem::path& path) {
  return cria::io::read_llama_config(path).dtype;
}

}  // namespace pretrain
