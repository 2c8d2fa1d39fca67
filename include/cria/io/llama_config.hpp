#pragma once
/// config.json of a Hugging Face model folder, as far as a Llama depends on it.

#include <array>
#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <utility>

#include "cria/io/file.hpp"
#include "cria/nn/llama.hpp"

namespace cria::io {

/// A model folder's description: the sizes and the dtype of its weights.
struct LlamaDescription {
  nn::LlamaConfig config;
  std::string dtype;  // "float32", "bfloat16" or "float16"
};

namespace detail {

/// The double with the fewest decimals that is this float: 1e-05, not 9.999999747378752e-06.
inline double decimal(float value) {
  std::array<char, 32> text{};
  std::to_chars(text.data(), text.data() + text.size(), value);
  return std::stod(text.data());
}

/// rope_type and its numbers.
inline nlohmann::ordered_json rope_scaling_json(const RotaryFrequencies& rope) {
  using Scaling = RotaryFrequencies::Scaling;
  if (rope.scaling == Scaling::none) return {{"rope_type", "default"}};
  if (rope.scaling == Scaling::linear) return {{"rope_type", "linear"}, {"factor", decimal(rope.factor)}};
  return {{"rope_type", "llama3"},
          {"factor", decimal(rope.factor)},
          {"low_freq_factor", decimal(rope.low_freq_factor)},
          {"high_freq_factor", decimal(rope.high_freq_factor)},
          {"original_max_position_embeddings", rope.original_max_position_embeddings}};
}

}  // namespace detail

/// Writes config.json for LlamaForCausalLM, or for Qwen2's or Qwen3's where only they have the model's
/// layers, with every field that the model depends on, in the spellings of transformers 4 (rope_theta,
/// rope_scaling, torch_dtype) and of transformers 5 (rope_parameters, dtype). Throws FileError, ConfigError
/// for a model that none of them is.
inline void write_llama_config(const std::filesystem::path& path, const LlamaDescription& description) {
  using nn::AttentionBias;
  const nn::LlamaConfig& c = description.config;
  const bool qwen2 = c.attention_bias == AttentionBias::query_key_value, qwen3 = c.query_key_norm;
  if ((qwen2 && qwen3) || ((qwen2 || qwen3) && c.mlp_bias)) {
    throw ConfigError(path.string() +
                      ": no model of transformers has query_key_norm, attention_bias of queries, keys and "
                      "values alone, and mlp_bias together; one of them at most can be written");
  }
  const auto scaling = detail::rope_scaling_json(c.rope_parameters);
  auto parameters = scaling;
  parameters["rope_theta"] = detail::decimal(c.rope_parameters.theta);
  nlohmann::ordered_json json = {{"architectures",
                                  {qwen2   ? "Qwen2ForCausalLM"
                                   : qwen3 ? "Qwen3ForCausalLM"
                                           : "LlamaForCausalLM"}},
                                 {"model_type", qwen2   ? "qwen2"
                                                : qwen3 ? "qwen3"
                                                        : "llama"},
                                 {"vocab_size", c.vocab_size},
                                 {"hidden_size", c.hidden_size},
                                 {"intermediate_size", c.intermediate_size},
                                 {"num_hidden_layers", c.num_hidden_layers},
                                 {"num_attention_heads", c.num_attention_heads},
                                 {"num_key_value_heads", c.num_key_value_heads},
                                 {"head_dim", c.head_size()},
                                 {"max_position_embeddings", c.max_position_embeddings},
                                 {"hidden_act", "silu"},
                                 {"rms_norm_eps", detail::decimal(c.rms_norm_eps)},
                                 {"rope_theta", detail::decimal(c.rope_parameters.theta)},
                                 {"rope_parameters", parameters},
                                 {"attention_bias", c.attention_bias != AttentionBias::none},
                                 {"mlp_bias", c.mlp_bias},
                                 {"tie_word_embeddings", c.tie_word_embeddings},
                                 {"bos_token_id", 1},
                                 {"eos_token_id", 2},
                                 {"torch_dtype", description.dtype},
                                 {"dtype", description.dtype}};
  if (c.rope_parameters.scaling != RotaryFrequencies::Scaling::none) json["rope_scaling"] = scaling;
  write_file(path, json.dump(2) + "\n");
}

/// Reads config.json of a Llama, Qwen2 or Qwen3 in either spelling. Throws FileError for a missing or
/// unusable field, for two spellings that disagree, and for features that cria's Llama has not.
inline LlamaDescription read_llama_config(const std::filesystem::path& path) {
  const auto fail = [&](const std::string& problem) { throw FileError(path.string(), problem); };
  const nlohmann::json json = nlohmann::json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) fail("is not a JSON object");
  const auto convert = [&](const std::string& name, const nlohmann::json& field, auto& value) {
    using Value = std::remove_cvref_t<decltype(value)>;
    bool usable = true;
    if constexpr (std::is_same_v<Value, std::int64_t>) {  // or it would become another number
      usable = field.is_number_integer() && !(field.is_number_unsigned() && field.get<std::int64_t>() < 0);
    }
    try {
      if (usable) field.get_to(value);
    } catch (const nlohmann::json::exception&) {
      usable = false;
    }
    if (!usable) fail("its field '" + name + "' has the unusable value " + field.dump());
  };
  const auto has = [&](const char* name) { return json.contains(name) && !json.at(name).is_null(); };
  const auto read = [&](const char* name, auto& value) {
    if (!json.contains(name)) fail(std::string("has no field '") + name + "'");
    convert(name, json.at(name), value);
  };
  const auto read_if_given = [&](const char* name, auto& value) {
    if (has(name)) convert(name, json.at(name), value);
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
  const auto must_be_one_of = [&](const std::string& name, const nlohmann::json& value,
                                  const nlohmann::json& allowed) {
    for (const auto& one : allowed) {
      if (value == one) return;
    }
    std::string list;
    for (const auto& one : allowed) list += (list.empty() ? "" : " or ") + one.dump();
    fail("its field '" + name + "' is " + value.dump() + "; cria's Llama needs " + list);
  };
  const auto must_be = [&](const char* name, const nlohmann::json& value) {
    if (json.contains(name)) must_be_one_of(name, json.at(name), {value});
  };
  LlamaDescription description;
  nn::LlamaConfig& c = description.config;
  const nlohmann::json type = json.value("model_type", nlohmann::json("llama"));
  must_be_one_of("model_type", type, {"llama", "qwen2", "qwen3"});
  must_be("hidden_act", "silu");
  must_be("use_sliding_window", false);
  must_be("partial_rotary_factor", 1.0);
  if (bool bias = false; type != "qwen2") {
    read_if_given("attention_bias", bias);
    c.attention_bias = bias ? nn::AttentionBias::all : nn::AttentionBias::none;
  } else {
    c.attention_bias = nn::AttentionBias::query_key_value;
  }
  if (type == "llama") read_if_given("mlp_bias", c.mlp_bias);
  c.query_key_norm = type == "qwen3";
  type == "qwen3" ? read("head_dim", c.head_dim) : read_if_given("head_dim", c.head_dim);

  // Rotary embeddings: fields rope_theta and rope_scaling, or in transformers 5 one object with both. The
  // type was called so before it was rope_type.
  nlohmann::json theta;
  const auto read_scaling = [&](const std::string& name, const nlohmann::json& rope) {
    using Scaling = RotaryFrequencies::Scaling;
    if (!rope.is_object()) fail("its field '" + name + "' has the unusable value " + rope.dump());
    if (rope.contains("partial_rotary_factor")) {
      must_be_one_of(name + ".partial_rotary_factor", rope.at("partial_rotary_factor"), {1.0});
    }
    if (rope.contains("rope_theta")) theta = rope.at("rope_theta");
    const char* type_name = rope.contains("rope_type") ? "rope_type" : "type";
    const nlohmann::json rope_type = rope.value(type_name, nlohmann::json("default"));
    must_be_one_of(name + "." + type_name, rope_type, {"default", "linear", "llama3"});
    const auto number = [&](const char* key, auto& value) {
      if (!rope.contains(key)) fail("its field '" + name + "' has no '" + key + "'");
      convert(name + "." + key, rope.at(key), value);
    };
    RotaryFrequencies frequencies;
    if (rope_type == "default") return frequencies;
    frequencies.scaling = rope_type == "linear" ? Scaling::linear : Scaling::llama3;
    number("factor", frequencies.factor);
    if (rope_type == "linear") return frequencies;
    number("low_freq_factor", frequencies.low_freq_factor);
    number("high_freq_factor", frequencies.high_freq_factor);
    number("original_max_position_embeddings", frequencies.original_max_position_embeddings);
    return frequencies;
  };
  if (has("rope_scaling")) c.rope_parameters = read_scaling("rope_scaling", json.at("rope_scaling"));
  if (has("rope_parameters")) {
    const auto parameters = read_scaling("rope_parameters", json.at("rope_parameters"));
    if (has("rope_scaling") && parameters != c.rope_parameters) {
      fail("its fields 'rope_scaling' and 'rope_parameters' disagree: " + json.at("rope_scaling").dump() +
           " and " + json.at("rope_parameters").dump());
    }
    c.rope_parameters = parameters;
  }
  read_either("rope_theta", "rope_parameters.rope_theta", theta, c.rope_parameters.theta);

  read("vocab_size", c.vocab_size);
  read("hidden_size", c.hidden_size);
  read("intermediate_size", c.intermediate_size);
  read("num_hidden_layers", c.num_hidden_layers);
  read("num_attention_heads", c.num_attention_heads);
  read("num_key_value_heads", c.num_key_value_heads);
  read("max_position_embeddings", c.max_position_embeddings);
  read("rms_norm_eps", c.rms_norm_eps);
  read("tie_word_embeddings", c.tie_word_embeddings);
  read_either("torch_dtype", "dtype", json.value("dtype", nlohmann::json()), description.dtype);
  try {
    c.check();
  } catch (const ConfigError& error) {
    fail(error.what());
  }
  return description;
}

}  // namespace cria::io
