#pragma once
/// config.json of a Hugging Face model folder, as far as a Llama depends on it.

#include <array>
#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "cria/io/file.hpp"
#include "cria/nn/llama.hpp"

namespace cria::io {

/// A model folder's description: the sizes and the dtype of its weights.
struct LlamaDescription {
  nn::LlamaConfig config;
  std::string dtype;  // "float32", "bfloat16" or "float16"
};

/// Writes config.json for LlamaForCausalLM, with every field that the model depends on, in the spellings of
/// transformers 4 (rope_theta, torch_dtype) and of transformers 5 (rope_parameters, dtype). Throws FileError.
inline void write_llama_config(const std::filesystem::path& path, const LlamaDescription& description) {
  const nn::LlamaConfig& c = description.config;
  // The double with the fewest decimals that is this float: 1e-05, not 9.999999747378752e-06.
  const auto decimal = [](float value) {
    std::array<char, 32> text{};
    std::to_chars(text.data(), text.data() + text.size(), value);
    return std::stod(text.data());
  };
  const nlohmann::ordered_json json = {
      {"architectures", {"LlamaForCausalLM"}},
      {"model_type", "llama"},
      {"vocab_size", c.vocab_size},
      {"hidden_size", c.hidden_size},
      {"intermediate_size", c.intermediate_size},
      {"num_hidden_layers", c.num_hidden_layers},
      {"num_attention_heads", c.num_attention_heads},
      {"num_key_value_heads", c.num_key_value_heads},
      {"head_dim", c.head_size()},
      {"max_position_embeddings", c.max_position_embeddings},
      {"hidden_act", "silu"},
      {"rms_norm_eps", decimal(c.rms_norm_eps)},
      {"rope_theta", decimal(c.rope_theta)},
      {"rope_parameters", {{"rope_theta", decimal(c.rope_theta)}, {"rope_type", "default"}}},
      {"attention_bias", false},
      {"mlp_bias", false},
      {"tie_word_embeddings", c.tie_word_embeddings},
      {"bos_token_id", 1},
      {"eos_token_id", 2},
      {"torch_dtype", description.dtype},
      {"dtype", description.dtype}};
  write_file(path, json.dump(2) + "\n");
}

/// Reads config.json in either spelling. Throws FileError for a missing or unusable field, for two spellings
/// that disagree, and for features that cria's Llama has not.
inline LlamaDescription read_llama_config(const std::filesystem::path& path) {
  const auto fail = [&](const std::string& problem) { throw FileError(path.string(), problem); };
  const nlohmann::json json = nlohmann::json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) fail("is not a JSON object");
  const auto convert = [&](const std::string& name, const nlohmann::json& field, auto& value) {
    try {
      field.get_to(value);
    } catch (const nlohmann::json::exception&) {
      fail("its field '" + name + "' has the unusable value " + field.dump());
    }
  };
  const auto read = [&](const char* name, auto& value) {
    if (!json.contains(name)) fail(std::string("has no field '") + name + "'");
    convert(name, json.at(name), value);
  };
  // The field that is called `name`, or what another version of transformers has in its place (null: it has
  // not).
  const auto read_either = [&](const char* name, const char* other_name, const nlohmann::json& other,
                               auto& value) {
    if (!json.contains(name) && other.is_null()) {
      fail(std::string("has neither a field '") + name + "' nor '" + other_name + "'");
    }
    if (json.contains(name) && !other.is_null() && json.at(name) != other) {
      fail(std::string("its fields '") + name + "' and '" + other_name +
           "' disagree: " + json.at(name).dump() + " and " + other.dump());
    }
    json.contains(name) ? convert(name, json.at(name), value) : convert(other_name, other, value);
  };
  const auto must_be = [&](const char* name, const nlohmann::json& value) {
    if (json.contains(name) && json.at(name) != value) {
      fail(std::string("its field '") + name + "' is " + json.at(name).dump() + "; cria's Llama needs " +
           value.dump());
    }
  };
  LlamaDescription description;
  nn::LlamaConfig& c = description.config;
  must_be("model_type", "llama");
  must_be("hidden_act", "silu");
  must_be("attention_bias", false);
  must_be("mlp_bias", false);
  // Rotary embeddings: a field rope_theta, or in transformers 5 an object with it. Other Llamas stretch them
  // (rope_type, long ago type) or turn only a part of each head.
  nlohmann::json theta;
  for (const char* name : {"rope_scaling", "rope_parameters"}) {
    if (!json.contains(name) || json.at(name).is_null()) continue;
    const nlohmann::json& rope = json.at(name);
    if (!rope.is_object())
      fail(std::string("its field '") + name + "' has the unusable value " + rope.dump());
    for (const auto& [key, usual] : {std::pair<const char*, nlohmann::json>{"rope_type", "default"},
                                     {"type", "default"},
                                     {"partial_rotary_factor", 1.0}}) {
      if (rope.contains(key) && rope.at(key) != usual) {
        fail(std::string("its field '") + name + "." + key + "' is " + rope.at(key).dump() +
             "; cria's Llama needs " + usual.dump());
      }
    }
    if (rope.contains("rope_theta")) theta = rope.at("rope_theta");
  }
  read("vocab_size", c.vocab_size);
  read("hidden_size", c.hidden_size);
  read("intermediate_size", c.intermediate_size);
  read("num_hidden_layers", c.num_hidden_layers);
  read("num_attention_heads", c.num_attention_heads);
  read("num_key_value_heads", c.num_key_value_heads);
  read("max_position_embeddings", c.max_position_embeddings);
  read("rms_norm_eps", c.rms_norm_eps);
  read_either("rope_theta", "rope_parameters.rope_theta", theta, c.rope_theta);
  read("tie_word_embeddings", c.tie_word_embeddings);
  read_either("torch_dtype", "dtype", json.value("dtype", nlohmann::json()), description.dtype);
  try {
    c.check();
  } catch (const ConfigError& error) {
    fail(error.what());
  }
  must_be("head_dim", c.head_size());
  return description;
}

}  // namespace cria::io
