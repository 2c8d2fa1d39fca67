#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "cria/io/io.hpp"
#include "cria/nn/llama.hpp"
#include "pretrain_llama/generate_on.hpp"
#include "support/compare.hpp"
#include "support/small_run.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(generate)

namespace {

using namespace cria;
using test::small_data, test::small_training, test::TemporaryDirectory, test::Values;

/// A model trained for a few iterations, once for all tests.
const std::string& checkpoint() {
  static const TemporaryDirectory folder;
  static const std::string path = [] {
    const std::string out = folder / "out";
    const auto outcome = test::run(small_training(small_data().data_dir(), out, {"--max_iters=10"}));
    BOOST_TEST_REQUIRE(outcome.exit_code == 0, outcome.errors);
    return out + "/ckpt";
  }();
  return path;
}

/// A copy of the model in `folder`, to be changed.
std::filesystem::path copied_model(const TemporaryDirectory& folder) {
  const std::filesystem::path model = folder / "model";
  std::filesystem::copy(checkpoint(), model);
  std::filesystem::remove(model / "manifest.json");  // with which the file would be damaged
  return model;
}

/// What the program writes with `more` options; it must write nothing on stderr.
std::string written(const std::vector<std::string>& more) {
  std::vector<std::string> arguments{PRETRAIN_LLAMA, "generate", "--checkpoint=" + checkpoint(),
                                     "--max_new_tokens=40"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto outcome = test::run(arguments);
  BOOST_TEST(outcome.exit_code == 0);
  BOOST_TEST(outcome.errors == "");
  return outcome.output;
}

using Tokens = Tensor<std::int32_t>;
using Model = cria::nn::LlamaForCausalLM<float>;

/// A model with grouped heads whose weights are large enough that every position matters.
Model model_of_large_weights(bool tied) {
  cria::nn::LlamaConfig config;
  config.vocab_size = 40;
  config.hidden_size = 16;
  config.intermediate_size = 32;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.max_position_embeddings = 12;
  config.tie_word_embeddings = tied;
  Model model(config);
  const Rng rng(5);
  std::uint64_t index = 0;
  cria::nn::for_each_parameter(model, [&](const std::string&, auto& parameter) {
    cria::nn::fill_normal(parameter, 0.4, rng.split(index++));
  });
  return model;
}

/// The next-token scores after every one of `tokens`, which the caches are given in pieces of `piece`.
Values scores_with_caches(const Model& model, std::span<const std::int32_t> tokens, std::size_t piece) {
  auto caches = model.make_caches(1, std::ssize(tokens));
  Values scores;
  for (std::size_t begin = 0; begin < tokens.size(); begin += piece) {
    const auto next = tokens.subspan(begin, std::min(piece, tokens.size() - begin));
    const auto values = test::to_values(model.next_logits(Tokens::from({1, std::ssize(next)}, next), caches));
    scores.insert(scores.end(), values.begin(), values.end());
  }
  return scores;
}

}  // namespace

BOOST_AUTO_TEST_CASE(temperature_0_writes_the_same_text_for_every_seed) {
  const std::string text = written({"--prompt=the cat", "--temperature=0", "--seed=1"});
  BOOST_TEST(written({"--prompt=the cat", "--temperature=0", "--seed=2"}) == text);
  BOOST_TEST(written({"--prompt=the cat", "--top_k=1", "--seed=3"}) == text);
  BOOST_TEST(written({"--prompt=the cat", "--top_p=1e-9", "--seed=3"}) == text);
}

BOOST_AUTO_TEST_CASE(a_seed_names_one_text) {
  const std::string text = written({"--prompt=the cat", "--temperature=1", "--seed=1"});
  BOOST_TEST(written({"--prompt=the cat", "--temperature=1", "--seed=1"}) == text);
  BOOST_TEST(written({"--prompt=the cat", "--temperature=1", "--seed=2"}) != text);
}

BOOST_AUTO_TEST_CASE(stdout_holds_the_prompt_and_its_continuation_alone) {
  BOOST_TEST(written({"--prompt=the cat", "--max_new_tokens=0"}) == "the cat\n");
  const std::string text = written({"--prompt=the cat", "--seed=1"});
  BOOST_TEST(text.starts_with("the cat"));
  BOOST_TEST(text.ends_with("\n"));
  BOOST_TEST(text.size() > std::string("the cat\n").size());
}

BOOST_AUTO_TEST_CASE(an_empty_prompt_is_no_prompt) {
  BOOST_TEST(written({"--prompt=", "--seed=3"}) == written({"--seed=3"}));
  BOOST_TEST(written({"--prompt", "", "--seed=3"}) == written({"--seed=3"}));
}

BOOST_AUTO_TEST_CASE(a_token_is_drawn_as_often_as_its_probability_says) {
  const Values probability{0.1, 0.4, 0.2, 0.3};
  Values logits;
  for (const double p : probability) logits.push_back(std::log(p));
  const auto check = [&](double temperature, std::int64_t top_k, double top_p, const Values& expected) {
    pretrain::GenerateOptions options;
    options.temperature = temperature;
    options.top_k = top_k;
    options.top_p = top_p;
    constexpr int draws = 20'000;
    Rng rng(1);
    Values share(expected.size());
    for (int i = 0; i < draws; ++i) {
      share[static_cast<std::size_t>(pretrain::sample(logits, options, rng))] += 1.0 / draws;
    }
    for (std::size_t i = 0; i < share.size(); ++i) BOOST_TEST(std::abs(share[i] - expected[i]) < 0.015);
  };
  check(1, 0, 1, probability);
  check(1, 2, 1, {0, 4.0 / 7, 0, 3.0 / 7});
  check(1, 9, 1, probability);
  check(1, 0, 0.6, {0, 4.0 / 7, 0, 3.0 / 7});
  check(1, 3, 0.8, {0, 4.0 / 9, 2.0 / 9, 3.0 / 9});  // 0.4 and 0.3 are too few
  check(0.5, 0, 1, {1.0 / 30, 16.0 / 30, 4.0 / 30, 9.0 / 30});
}

BOOST_AUTO_TEST_CASE(samples_are_separated_by_a_line_and_the_first_is_that_of_a_single_one) {
  const std::string both = written({"--prompt=the cat", "--num_samples=2", "--seed=1"});
  const std::string first = written({"--prompt=the cat", "--seed=1"});
  BOOST_TEST(both.starts_with(first + "---\nthe cat"));
  BOOST_TEST(both != first + "---\n" + first);
}

BOOST_AUTO_TEST_CASE(a_prompt_may_be_longer_than_the_context) {
  std::string prompt;
  for (int i = 0; i < 30; ++i) prompt += "the cat and the dog ";
  prompt += "ran";
  const std::string text = written({"--prompt=" + prompt, "--temperature=0"});
  BOOST_TEST(text.starts_with(prompt));
  BOOST_TEST(text.size() > prompt.size() + 1);
  // Only the end of the prompt is in the context, so that its start makes no difference.
  const std::string other = written({"--prompt=sun " + prompt, "--temperature=0"});
  BOOST_TEST(other == "sun " + text);
}

BOOST_AUTO_TEST_CASE(a_context_may_be_one_token) {
  const TemporaryDirectory folder;
  const std::filesystem::path model = copied_model(folder);
  auto description = cria::io::read_llama_config(model / "config.json");
  description.config.max_position_embeddings = 1;
  cria::io::write_llama_config(model / "config.json", description);
  const auto outcome =
      test::run({PRETRAIN_LLAMA, "generate", "--checkpoint=" + model.string(), "--prompt=the cat"});
  BOOST_TEST(outcome.exit_code == 0);
  BOOST_TEST(outcome.errors == "");
  BOOST_TEST(outcome.output.starts_with("the cat"));
}

BOOST_AUTO_TEST_CASE(a_device_that_the_program_has_not_is_refused) {
  const auto outcome =
      test::run({PRETRAIN_LLAMA, "generate", "--checkpoint=" + checkpoint(), "--device=tpu"});
  BOOST_TEST(outcome.exit_code == 1);
  BOOST_TEST(outcome.errors.starts_with("error: --device is tpu; this program was compiled for: cpu"),
             outcome.errors);
}

BOOST_AUTO_TEST_CASE(a_model_that_has_diverged_is_refused) {
  const TemporaryDirectory folder;
  const std::filesystem::path model = copied_model(folder);
  auto description = cria::io::read_llama_config(model / "config.json");
  Model weights(description.config);
  cria::nn::for_each_parameter(
      weights, [](const std::string&, auto& parameter) { cria::nn::fill(parameter, std::nan("")); });
  cria::io::save_state(model / "model.safetensors", cria::nn::state_dict(weights));
  const auto outcome = test::run({PRETRAIN_LLAMA, "generate", "--checkpoint=" + model.string()});
  BOOST_TEST(outcome.exit_code == 1);
  BOOST_TEST(outcome.errors ==
             "error: " + (model / "model.safetensors").string() +
                 ": gives scores that are no finite numbers, as a model that has diverged does\n");
}

BOOST_AUTO_TEST_CASE(caches_give_the_scores_of_the_whole_sequence) {
  const std::vector<std::int32_t> tokens{1, 7, 39, 0, 12, 12, 30, 5, 21, 2, 17, 33};
  for (const bool tied : {true, false}) {
    const Model model = model_of_large_weights(tied);
    const auto whole = test::to_values(model.logits(Tokens::from({1, std::ssize(tokens)}, tokens)));
    test::check_close("token by token", scores_with_caches(model, tokens, 1), whole, 1e-5);

    // In pieces of five there are scores after tokens 4, 9 and 11 only.
    Values at_ends;
    for (const std::ptrdiff_t last : {4, 9, 11}) {
      at_ends.insert(at_ends.end(), whole.begin() + last * 40, whole.begin() + (last + 1) * 40);
    }
    test::check_close("in pieces", scores_with_caches(model, tokens, 5), at_ends, 1e-5);
  }
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
