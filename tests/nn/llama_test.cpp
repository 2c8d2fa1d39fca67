#include "cria/nn/llama.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "cria/io/safetensors.hpp"
#include "support/error_message.hpp"
#include "support/llama_golden.hpp"

BOOST_AUTO_TEST_SUITE(nn)
BOOST_AUTO_TEST_SUITE(llama)

namespace {

using namespace cria;
using test::golden_batch, test::golden_json, test::golden_model, test::golden_path;

const char* const cases[] = {"tied_kv2", "untied_kv1", "tied_kv4", "tied_head_dim36",
                             "llama32",  "biased",     "qwen2",    "qwen3"};

/// The largest difference relative to the largest golden value.
template <class T>
double difference(const std::vector<T>& got, const cria::io::TensorView& golden) {
  const auto* want = reinterpret_cast<const float*>(golden.bytes.data());
  BOOST_REQUIRE_EQUAL(static_cast<std::int64_t>(got.size()), golden.shape.size());
  double worst = 0, largest = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(got[i]) - static_cast<double>(want[i])));
    largest = std::max(largest, std::abs(static_cast<double>(want[i])));
  }
  return worst / largest;
}

template <class T>
void check_against_pytorch(const std::string& name, double tolerance) {
  const auto golden = golden_json(name + ".json");
  const cria::io::SafetensorsFile tensors(golden_path(name + ".safetensors"));
  auto model = golden_model<T>(golden);
  const auto batch = golden_batch(golden, 0);
  BOOST_TEST(difference(model.logits(batch.inputs).to_vector(), *tensors.find("logits")) < tolerance);
  const auto loss = model.loss(batch.inputs, batch.targets);
  BOOST_TEST(static_cast<double>(loss.item()) == golden["loss"].get<double>(),
             boost::test_tools::tolerance(tolerance));
  backward(loss);
  cria::nn::for_each_parameter(model, [&](const std::string& parameter_name, Parameter<T>& parameter) {
    const double worst =
        difference(parameter.grad().to_vector(), *tensors.find("gradient." + parameter_name));
    BOOST_TEST(worst < tolerance, parameter_name << " differs by " << worst);
  });
}

}  // namespace

BOOST_DATA_TEST_CASE(logits_loss_and_gradients_are_pytorchs_in_double, boost::unit_test::data::make(cases),
                     name) {
  check_against_pytorch<double>(name, 2e-7);  // the goldens are rounded to float
}

BOOST_DATA_TEST_CASE(logits_loss_and_gradients_are_pytorchs_in_float, boost::unit_test::data::make(cases),
                     name) {
  check_against_pytorch<float>(name, 2e-5);
}

BOOST_DATA_TEST_CASE(the_loss_from_logits_is_the_fused_loss, boost::unit_test::data::make(cases), name) {
  const auto golden = golden_json(std::string(name) + ".json");
  const auto model = golden_model<double>(golden);
  const auto batch = golden_batch(golden, 0);
  BOOST_TEST(model.loss(batch.inputs, batch.targets).item() ==
                 cross_entropy(model.logits(batch.inputs), batch.targets).item(),
             boost::test_tools::tolerance(1e-12));
}

BOOST_DATA_TEST_CASE(ten_training_losses_are_pytorchs, boost::unit_test::data::make(cases), name) {
  const auto golden = golden_json(std::string(name) + ".json");
  auto model = golden_model<float>(golden);
  const auto& t = golden["training"];
  AdamW optimizer(
      model,
      {.beta1 = t["beta1"], .beta2 = t["beta2"], .epsilon = t["epsilon"], .weight_decay = t["weight_decay"]});
  const std::int64_t warmup = t["warmup_iters"], decay = t["lr_decay_iters"];
  const Schedule rate =
      schedule::warm_up(warmup, schedule::cosine(t["learning_rate"], t["min_lr"], decay - warmup));
  for (int step = 0; step < t["steps"]; ++step) {
    const auto batch = golden_batch(golden, step);
    const auto loss = model.loss(batch.inputs, batch.targets);
    BOOST_TEST(static_cast<double>(loss.item()) ==
                   golden["losses_float64"][static_cast<std::size_t>(step)].get<double>(),
               boost::test_tools::tolerance(1e-5));
    backward(loss);
    optimizer.set_learning_rate(rate(step));
    optimizer.step({.max_norm = t["grad_clip"]});
    BOOST_TEST(optimizer.gradient_norm() ==
                   golden["gradient_norms_float64"][static_cast<std::size_t>(step)].get<double>(),
               boost::test_tools::tolerance(1e-5));
  }
}

BOOST_DATA_TEST_CASE(names_and_shapes_are_hugging_faces, boost::unit_test::data::make(cases), name) {
  const auto golden = golden_json(std::string(name) + ".json");
  const auto model = golden_model<float>(golden);
  std::size_t i = 0;
  cria::nn::for_each_parameter(
      model, [&](const std::string& parameter_name, const Parameter<float>& parameter) {
        const auto& want = golden["parameters"][i++];
        BOOST_TEST(parameter_name == want["name"].get<std::string>());
        BOOST_TEST((parameter.shape() == Shape(want["shape"].get<std::vector<std::int64_t>>())));
      });
  BOOST_TEST(i == golden["parameters"].size());
}

BOOST_AUTO_TEST_CASE(the_reference_configuration_has_its_parameters) {
  const cria::nn::LlamaForCausalLM<float> model{cria::nn::LlamaConfig{}};
  BOOST_TEST(cria::nn::parameter_count(model) == 8151840);
  std::vector<std::pair<std::string, std::string>> want{{"model.embed_tokens.weight", "[4096, 288]"}};
  for (int i = 0; i < 8; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    want.insert(want.end(), {{layer + "input_layernorm.weight", "[288]"},
                             {layer + "self_attn.q_proj.weight", "[288, 288]"},
                             {layer + "self_attn.k_proj.weight", "[72, 288]"},
                             {layer + "self_attn.v_proj.weight", "[72, 288]"},
                             {layer + "self_attn.o_proj.weight", "[288, 288]"},
                             {layer + "post_attention_layernorm.weight", "[288]"},
                             {layer + "mlp.gate_proj.weight", "[768, 288]"},
                             {layer + "mlp.up_proj.weight", "[768, 288]"},
                             {layer + "mlp.down_proj.weight", "[288, 768]"}});
  }
  want.emplace_back("model.norm.weight", "[288]");
  std::vector<std::pair<std::string, std::string>> got;
  cria::nn::for_each_parameter(model, [&](const std::string& name, const Parameter<float>& parameter) {
    got.emplace_back(name, to_string(parameter.shape()));
  });
  BOOST_TEST((got == want));
}

// The goldens have the norms' own default.
BOOST_AUTO_TEST_CASE(all_norms_have_the_configurations_epsilon) {
  cria::nn::LlamaConfig config;
  config.vocab_size = 8;
  config.num_hidden_layers = 1;
  config.rms_norm_eps = 0.25f;
  config.query_key_norm = true;
  const cria::nn::LlamaModel<float> model(config);
  const auto& layer = model.layers[0];
  for (const auto* norm : {&layer.input_layernorm, &*layer.self_attn.q_norm, &*layer.self_attn.k_norm,
                           &layer.post_attention_layernorm, &model.norm}) {
    BOOST_TEST(norm->eps == 0.25f);
  }
}

BOOST_AUTO_TEST_CASE(initialisation_scales_the_residual_projections) {
  cria::nn::LlamaConfig config;
  config.vocab_size = 64;
  const auto deviation = [](const Parameter<float>& parameter) {
    double squares = 0;
    for (const float x : parameter.value().to_vector())
      squares += static_cast<double>(x) * static_cast<double>(x);
    return std::sqrt(squares / static_cast<double>(parameter.size()));
  };
  cria::nn::LlamaForCausalLM<float> model(config);
  initialize(model, Rng(1));
  const auto& mlp = model.model.layers[3].mlp;
  const auto five_percent = boost::test_tools::tolerance(0.05);
  BOOST_TEST(deviation(model.model.embed_tokens.weight) == 0.02, five_percent);
  BOOST_TEST(deviation(mlp.up_proj.weight) == 0.02, five_percent);
  BOOST_TEST(deviation(mlp.down_proj.weight) == 0.005, five_percent);
  BOOST_TEST(deviation(model.model.layers[3].self_attn.o_proj.weight) == 0.005, five_percent);
  BOOST_TEST(deviation(model.model.norm.weight) == 1.0);
  config.mlp_bias = true;
  cria::nn::LlamaForCausalLM<float> biased(config);
  initialize(biased, Rng(1));
  BOOST_TEST(deviation(*biased.model.layers[3].mlp.up_proj.bias) == 0.0);
  initialize(model, Rng(1), cria::nn::ResidualScaling::llama2c);
  BOOST_TEST(deviation(mlp.up_proj.weight) == 0.005, five_percent);
  BOOST_TEST(deviation(mlp.down_proj.weight) == 0.02, five_percent);
}

namespace {

/// Two texts of 12 tokens side by side, of which the caches are given pieces.
struct CachedTexts {
  cria::nn::LlamaForCausalLM<float> model;
  std::vector<std::int32_t> tokens;  // [2, 12]
  std::vector<float> want;           // the logits of the whole texts, [2, 12, vocab]
  std::vector<cria::nn::KeyValueCache<float>> caches;

  explicit CachedTexts(const std::string& name = "tied_kv2")
      : model(golden_model<float>(golden_json(name + ".json"))), caches(model.make_caches(2, 12)) {
    const auto vocab = static_cast<std::int32_t>(model.config.vocab_size);
    for (std::int32_t i = 0; i < 24; ++i) tokens.push_back((i * i + 3 * i) % vocab);
    want = model.logits(Tensor<std::int32_t>::from({2, 12}, tokens)).to_vector();
  }

  /// How far the logits after the tokens [first, last) are from those of the whole texts.
  float difference(std::size_t first, std::size_t last) {
    std::vector<std::int32_t> next;
    for (const std::size_t b : {0u, 1u}) {
      for (std::size_t t = first; t < last; ++t) next.push_back(tokens[b * 12 + t]);
    }
    const auto logits = model.next_logits(
        Tensor<std::int32_t>::from({2, static_cast<std::int64_t>(last - first)}, next), caches);
    const std::int64_t vocab = model.config.vocab_size;
    BOOST_TEST((logits.shape() == Shape{2, vocab}));
    const auto got = logits.to_vector();
    float worst = 0;
    for (std::size_t b = 0, v = static_cast<std::size_t>(vocab); b < 2; ++b) {
      for (std::size_t i = 0; i < v; ++i)
        worst = std::max(worst, std::abs(got[b * v + i] - want[(b * 12 + last - 1) * v + i]));
    }
    return worst;
  }
};

}  // namespace

BOOST_DATA_TEST_CASE(key_value_caches_give_the_logits_of_the_whole_texts, boost::unit_test::data::make(cases),
                     name) {
  CachedTexts texts(name);
  BOOST_TEST(texts.difference(0, 5) < 1e-5f);  // the first five tokens at once, then one by one
  for (std::size_t t = 5; t < 12; ++t) BOOST_TEST(texts.difference(t, t + 1) < 1e-5f);
  BOOST_TEST(texts.caches.back().length() == 12);
}

BOOST_AUTO_TEST_CASE(truncated_caches_go_on_from_there) {
  CachedTexts texts;
  texts.difference(0, 10);
  for (auto& cache : texts.caches) cache.truncate(4);
  BOOST_TEST(texts.difference(4, 8) < 1e-5f);
  BOOST_TEST(texts.difference(8, 12) < 1e-5f);
  for (auto& cache : texts.caches) cache.truncate(0);
  BOOST_TEST(texts.difference(0, 12) < 1e-5f);
}

// Side by side with others, of other lengths, a text has the scores that it has alone; on the CPU to the last
// bit.
BOOST_DATA_TEST_CASE(texts_of_different_lengths_have_the_scores_that_each_has_alone,
                     boost::unit_test::data::make(cases), name) {
  using Caches = std::vector<cria::nn::KeyValueCache<float>>;
  const auto model = golden_model<float>(golden_json(std::string(name) + ".json"));
  const auto vocab = static_cast<std::size_t>(model.config.vocab_size);
  const auto token = [&](std::size_t text, std::size_t t) {
    return static_cast<std::int32_t>((7 * text + t * t + 3 * t) % vocab);
  };
  // Reads the first 1 + 2 * text tokens of a text.
  const auto begin = [&](std::size_t text) {
    Caches caches = model.make_caches(1, 40);
    std::vector<std::int32_t> tokens;
    for (std::size_t t = 0; t < 1 + 2 * text; ++t) tokens.push_back(token(text, t));
    model.next_logits(Tensor<std::int32_t>::from({1, std::ssize(tokens)}, tokens), caches);
    return caches;
  };
  const auto next_of = [&](std::size_t text, std::size_t step) { return token(text, 1 + 2 * text + step); };
  std::vector<std::vector<std::vector<float>>> alone;  // by text and step
  for (std::size_t i = 0; i < 8; ++i) {
    Caches caches = begin(i);
    auto& scores = alone.emplace_back();
    for (std::size_t step = 0; step < 3; ++step) {
      const auto next = Tensor<std::int32_t>::from({1, 1}, {next_of(i, step)});
      scores.push_back(model.next_logits(next, caches).to_vector());
    }
  }
  constexpr bool on_cpu = std::is_same_v<DefaultBackend, Cpu>;
  for (const std::size_t count :
       on_cpu ? std::vector<std::size_t>{2, 3, 5, 8} : std::vector<std::size_t>{3}) {
    std::vector<Caches> texts;
    for (std::size_t i = 0; i < count; ++i) texts.push_back(begin(i));
    const std::vector<std::span<cria::nn::KeyValueCache<float>>> together(texts.begin(), texts.end());
    for (std::size_t step = 0; step < 3; ++step) {
      std::vector<std::int32_t> next;
      for (std::size_t i = 0; i < count; ++i) next.push_back(next_of(i, step));
      const auto logits =
          model.next_logits(Tensor<std::int32_t>::from({std::ssize(next), 1}, next), together).to_vector();
      float worst = 0;
      for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t v = 0; v < vocab; ++v) {
          worst = std::max(worst, std::abs(logits[i * vocab + v] - alone[i][step][v]));
        }
      }
      BOOST_TEST(worst <= (on_cpu ? 0.0f : 1e-5f));
    }
  }
}

BOOST_AUTO_TEST_CASE(caches_that_do_not_fit_are_refused) {
  CachedTexts texts;
  const auto message = [&](const Shape& tokens, std::span<cria::nn::KeyValueCache<float>> caches) {
    return test::error_message<ShapeError>(
        [&] { texts.model.next_logits(Tensor<std::int32_t>::zeros(tokens), caches); });
  };
  BOOST_TEST(message({2, 1}, std::span(texts.caches).first(1)) ==
             "LlamaModel: there are 1 caches; each of the model's 2 layers needs one");
  BOOST_TEST(message({2, 1}, {}) == "LlamaModel: there are 0 caches; each of the model's 2 layers needs one");
  BOOST_TEST(test::error_message<ShapeError>([&] {
               texts.model.model(Tensor<std::int32_t>::zeros({2, 1}), std::span(texts.caches).first(1));
             }) == "LlamaModel: there are 1 caches; each of the model's 2 layers needs one");
  BOOST_TEST(message({2, 0}, texts.caches) ==
             "next_logits: tokens is [2, 0]; at least one element is needed");
  BOOST_TEST(message({3, 1}, texts.caches) == "LlamaModel: tokens is [3, 1]; the caches are of 2 texts");
  texts.difference(0, 10);
  texts.caches.back().truncate(9);
  BOOST_TEST(message({2, 1}, texts.caches) ==
             "LlamaModel: one cache holds 10 positions and another one 9; all layers' must hold the same");
  texts.caches.front().truncate(9);
  texts.difference(9, 10);
  BOOST_TEST(message({2, 3}, texts.caches) ==
             "KeyValueCache: k is [2, 3, 2, 8]; 10 of the cache's 12 positions are filled, so at most 2 more "
             "are allowed");
  BOOST_TEST(message({2, 55}, texts.caches) ==
             "LlamaForCausalLM: tokens is [2, 55] after 10 others; at most max_position_embeddings = 64 "
             "positions are allowed");
}

BOOST_AUTO_TEST_CASE(sizes_that_no_model_has_are_refused_before_they_are_multiplied) {
  using cria::nn::LlamaConfig;
  constexpr std::int64_t huge = std::int64_t{1} << 60;
  const auto message = [](auto change) {
    LlamaConfig config;
    change(config);
    return test::error_message<ConfigError>([&] { config.check(); });
  };
  const std::string rule = " is 1152921504606846976; it must be at most 536870912";
  BOOST_TEST(message([](auto& c) { c.vocab_size = huge; }) == "vocab_size" + rule);
  BOOST_TEST(message([](auto& c) { c.hidden_size = huge; }) == "hidden_size" + rule);
  BOOST_TEST(message([](auto& c) { c.intermediate_size = huge; }) == "intermediate_size" + rule);
  BOOST_TEST(message([](auto& c) { c.num_hidden_layers = huge; }) == "num_hidden_layers" + rule);
  BOOST_TEST(message([](auto& c) { c.num_attention_heads = huge; }) == "num_attention_heads" + rule);
  BOOST_TEST(message([](auto& c) { c.num_key_value_heads = huge; }) == "num_key_value_heads" + rule);
  BOOST_TEST(message([](auto& c) { c.head_dim = huge; }) == "head_dim" + rule);
  BOOST_TEST(message([](auto& c) { c.max_position_embeddings = huge; }) ==
             "max_position_embeddings is 1152921504606846976; it must be at most 4294967296");
  BOOST_TEST(message([](auto& c) { c.head_dim = 1 << 27; }) ==
             "num_attention_heads * head_dim is 1073741824; it must be at most 536870912");
  BOOST_TEST(test::error_message<ConfigError>([] {
               LlamaConfig config;
               config.head_dim = huge;
               cria::nn::LlamaForCausalLM<float> model(config);
             }) == "head_dim" + rule);
  // What is largest in each of these products can be told.
  LlamaConfig largest;
  largest.vocab_size = largest.hidden_size = largest.intermediate_size = largest.num_hidden_layers = 1 << 29;
  largest.num_attention_heads = largest.num_key_value_heads = 1 << 20;
  largest.head_dim = 1 << 9;
  largest.max_position_embeddings = std::int64_t{1} << 32;
  BOOST_TEST(test::error_message<ConfigError>([&] { largest.check(); }) == "(nothing thrown)");
  BOOST_TEST((Shape{largest.hidden_size, largest.query_size()}.size() == std::int64_t{1} << 58));
}

BOOST_AUTO_TEST_CASE(sizes_that_do_not_fit_are_refused_by_name) {
  const auto message = [](auto change) {
    cria::nn::LlamaConfig config;
    change(config);
    return test::error_message<ConfigError>([&] { cria::nn::LlamaForCausalLM<float> model(config); });
  };
  BOOST_TEST(message([](auto& c) { c.hidden_size = 100; }) ==
             "hidden_size = 100 must be a multiple of num_attention_heads = 8");
  BOOST_TEST(message([](auto& c) { c.num_key_value_heads = 3; }) ==
             "num_attention_heads = 8 must be a multiple of num_key_value_heads = 3");
  BOOST_TEST(message([](auto& c) { c.num_hidden_layers = 0; }) ==
             "num_hidden_layers is 0; it must be at least 1");
  BOOST_TEST(message([](auto& c) { c.hidden_size = 8 * 9; }) ==
             "hidden_size / num_attention_heads = 9 must be even, because rotary embeddings turn pairs");
  BOOST_TEST(message([](auto& c) { c.rms_norm_eps = -1; }) ==
             "rms_norm_eps is -1.000000; it must be a number from 0 on");
  BOOST_TEST(message([](auto& c) { c.head_dim = 9; }) ==
             "head_dim = 9 must be even, because rotary embeddings turn pairs");
  BOOST_TEST(message([](auto& c) { c.head_dim = -2; }) == "head_dim is -2; it must be at least 1");
  BOOST_TEST(message([](auto& c) {
               c.rope_parameters.scaling = RotaryFrequencies::Scaling::linear;
               c.rope_parameters.factor = 0;
             }) == "rope_parameters: factor = 0.000000 must be a positive number");
  const auto golden = golden_json("tied_kv4.json");
  const auto model = golden_model<float>(golden);
  BOOST_TEST(
      test::error_message<ShapeError>([&] {
        model.logits(Tensor<std::int32_t>::zeros({1, 65}));
      }) ==
      "LlamaForCausalLM: tokens is [1, 65]; at most max_position_embeddings = 64 positions are allowed");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
