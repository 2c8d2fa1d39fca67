#include "cria/io/llama_config.hpp"

#include <boost/test/unit_test.hpp>
#include <string>

#include "support/error_message.hpp"
#include "support/temporary_directory.hpp"

BOOST_AUTO_TEST_SUITE(io)
BOOST_AUTO_TEST_SUITE(llama_config)

namespace {

using namespace cria;
using nlohmann::json;

/// What transformers 4.57.6 and 5.24.0 wrote: LlamaConfig(...).save_pretrained(folder), with dtype="bfloat16"
/// and theta 20000.
json written_by_transformers(const std::string& version) {
  return json::parse(
      cria::io::read_file(CRIA_SOURCE_DIR "/tests/golden/config_transformers_" + version + ".json"));
}

cria::io::LlamaDescription read(const json& config) {
  const test::TemporaryDirectory folder;
  cria::io::write_file(folder / "config.json", config.dump());
  return cria::io::read_llama_config(folder / "config.json");
}

/// The sentence that refuses a configuration, without the path.
std::string refusal(const json& config) {
  const std::string message = test::error_message<FileError>([&] { read(config); });
  return message.substr(message.find(": ") + 2);
}

json with(json config, const char* name, const json& value) {
  config[name] = value;
  return config;
}
json without(json config, const char* name) {
  config.erase(name);
  return config;
}

}  // namespace

BOOST_AUTO_TEST_CASE(both_spellings_of_transformers_are_read) {
  for (const char* version : {"4", "5"}) {
    const auto description = read(written_by_transformers(version));
    BOOST_TEST(description.dtype == "bfloat16");
    BOOST_TEST(description.config.rope_parameters.theta == 20000.0f);
    BOOST_TEST(description.config.hidden_size == 32);
    BOOST_TEST(description.config.num_key_value_heads == 2);
    BOOST_TEST(description.config.tie_word_embeddings);
  }
  // And the one of transformers up to 4.55.
  const json four = written_by_transformers("4");
  BOOST_TEST(read(with(without(four, "dtype"), "torch_dtype", "float16")).dtype == "float16");
  // transformers 5 takes rotary embeddings without a type for the usual ones.
  const json five = with(written_by_transformers("5"), "rope_parameters", {{"rope_theta", 5e5}});
  BOOST_TEST(read(five).config.rope_parameters.theta == 5e5f);
}

BOOST_AUTO_TEST_CASE(what_is_written_has_both_spellings) {
  const test::TemporaryDirectory folder;
  auto description = read(written_by_transformers("5"));
  cria::io::write_llama_config(folder / "config.json", description);
  const json config = json::parse(cria::io::read_file(folder / "config.json"));
  BOOST_TEST(config["rms_norm_eps"].dump() == "1e-05");
  BOOST_TEST(config["rope_theta"] == 20000.0);
  BOOST_TEST(config["rope_parameters"] == json({{"rope_theta", 20000.0}, {"rope_type", "default"}}));
  BOOST_TEST(config["torch_dtype"] == "bfloat16");
  BOOST_TEST(config["dtype"] == "bfloat16");
  BOOST_TEST(read(config).config.rope_parameters.theta == 20000.0f);
}

BOOST_AUTO_TEST_CASE(what_is_written_is_read_again) {
  using cria::nn::AttentionBias;
  const test::TemporaryDirectory folder;
  const auto check = [&](auto change, const std::string& model_type) {
    cria::io::LlamaDescription description = read(written_by_transformers("4"));
    change(description.config);
    cria::io::write_llama_config(folder / "config.json", description);
    const json config = json::parse(cria::io::read_file(folder / "config.json"));
    BOOST_TEST(config["model_type"] == model_type);
    BOOST_TEST((read(config).config == description.config), config.dump());
    // Each version of transformers finds all of it in its own spelling.
    BOOST_TEST((read(without(config, "rope_parameters")).config == description.config));
    BOOST_TEST((read(without(without(config, "rope_scaling"), "rope_theta")).config == description.config));
  };
  const auto as_it_is = [](auto&) {};
  check(as_it_is, "llama");
  check([](auto& c) { c.attention_bias = AttentionBias::all; }, "llama");
  check([](auto& c) { c.mlp_bias = true; }, "llama");
  check([](auto& c) { c.head_dim = 10; }, "llama");
  check([](auto& c) { c.attention_bias = AttentionBias::query_key_value; }, "qwen2");
  check([](auto& c) { c.query_key_norm = true; }, "qwen3");
  check(
      [](auto& c) {
        c.rope_parameters.scaling = RotaryFrequencies::Scaling::linear;
        c.rope_parameters.factor = 2.5f;
      },
      "llama");
  check(
      [](auto& c) {
        c.rope_parameters = 5e5f;
        c.rope_parameters.scaling = RotaryFrequencies::Scaling::llama3;
        c.rope_parameters.factor = 32;
        c.rope_parameters.low_freq_factor = 1.5f;
        c.rope_parameters.high_freq_factor = 3;
        c.rope_parameters.original_max_position_embeddings = 1024;
      },
      "llama");
  BOOST_TEST(test::error_message<ConfigError>([&] {
               check(
                   [](auto& c) {
                     c.query_key_norm = true;
                     c.mlp_bias = true;
                   },
                   "");
             }) == (folder / "config.json").string() +
                       ": no model of transformers has query_key_norm, attention_bias of queries, keys and "
                       "values alone, and mlp_bias together; one of them at most can be written");
}

BOOST_AUTO_TEST_CASE(what_cria_has_not_is_refused_with_a_sentence) {
  const json four = written_by_transformers("4"), five = written_by_transformers("5");
  const auto rope = [&](const json& parameters) {
    return refusal(with(five, "rope_parameters", parameters));
  };
  const std::string types = "; cria's Llama needs \"default\" or \"linear\" or \"llama3\"";
  BOOST_TEST(rope({{"rope_theta", 5e5}, {"rope_type", "yarn"}, {"factor", 8.0}}) ==
             "its field 'rope_parameters.rope_type' is \"yarn\"" + types);
  BOOST_TEST(rope({{"rope_theta", 5e5}, {"rope_type", "llama3"}, {"factor", 8.0}}) ==
             "its field 'rope_parameters' has no 'low_freq_factor'");
  BOOST_TEST(rope({{"rope_theta", 5e5}, {"rope_type", "linear"}, {"factor", -8.0}}) ==
             "rope_parameters: factor = -8.000000 must be a positive number");
  BOOST_TEST(rope({{"rope_theta", 1e4}, {"rope_type", "default"}, {"partial_rotary_factor", 0.5}}) ==
             "its field 'rope_parameters.partial_rotary_factor' is 0.5; cria's Llama needs 1.0");
  BOOST_TEST(rope(7) == "its field 'rope_parameters' has the unusable value 7");
  BOOST_TEST(refusal(with(four, "rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2.0}})) ==
             "its field 'rope_scaling.rope_type' is \"dynamic\"" + types);
  BOOST_TEST(refusal(with(four, "rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}})) ==
             "its field 'rope_scaling.type' is \"dynamic\"" + types);
  BOOST_TEST(refusal(with(four, "rope_scaling", {{"type", "linear"}})) ==
             "its field 'rope_scaling' has no 'factor'");
  BOOST_TEST(refusal(with(five, "rope_scaling", {{"rope_type", "linear"}, {"factor", 2.0}})) ==
             "its fields 'rope_scaling' and 'rope_parameters' disagree: "
             "{\"factor\":2.0,\"rope_type\":\"linear\"} and "
             "{\"rope_theta\":20000.0,\"rope_type\":\"default\"}");
  BOOST_TEST(refusal(with(four, "partial_rotary_factor", 0.5)) ==
             "its field 'partial_rotary_factor' is 0.5; cria's Llama needs 1.0");
  BOOST_TEST(refusal(with(five, "rope_theta", 10000.0)) ==
             "its fields 'rope_theta' and 'rope_parameters.rope_theta' disagree: 10000.0 and 20000.0");
  BOOST_TEST(refusal(without(five, "rope_parameters")) ==
             "has neither a field 'rope_theta' nor 'rope_parameters.rope_theta'");
  BOOST_TEST(refusal(without(four, "dtype")) == "has neither a field 'torch_dtype' nor 'dtype'");
  BOOST_TEST(refusal(with(five, "rope_parameters", {{"rope_theta", "many"}, {"rope_type", "default"}})) ==
             "its field 'rope_parameters.rope_theta' has the unusable value \"many\"");
  BOOST_TEST(refusal(with(four, "attention_bias", "some")) ==
             "its field 'attention_bias' has the unusable value \"some\"");
  BOOST_TEST(refusal(with(four, "head_dim", 7)) ==
             "head_dim = 7 must be even, because rotary embeddings turn pairs");
  for (const json& value : {json(8.5), json(1e300), json(std::uint64_t{1} << 63), json(true)}) {
    BOOST_TEST(refusal(with(four, "head_dim", value)) ==
               "its field 'head_dim' has the unusable value " + value.dump());
  }
  BOOST_TEST(refusal(with(four, "head_dim", std::int64_t{1} << 60)) ==
             "head_dim is 1152921504606846976; it must be at most 536870912");
  BOOST_TEST(refusal(with(four, "model_type", "gemma")) ==
             "its field 'model_type' is \"gemma\"; cria's Llama needs \"llama\" or \"qwen2\" or \"qwen3\"");
  BOOST_TEST(refusal(with(with(four, "model_type", "qwen2"), "use_sliding_window", true)) ==
             "its field 'use_sliding_window' is true; cria's Llama needs false");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
