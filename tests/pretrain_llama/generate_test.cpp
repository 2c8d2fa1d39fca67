#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "cria/io/io.hpp"
#include "cria/nn/llama.hpp"
#include "pretrain_llama/tokenizer.hpp"
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

BOOST_AUTO_TEST_CASE(samples_are_separated_by_a_line_and_the_first_is_that_of_a_single_one) {
  const std::string both = written({"--prompt=the cat", "--num_samples=2", "--seed=1"});
  const std::string first = written({"--prompt=the cat", "--seed=1"});
  BOOST_TEST(both.starts_with(first + "---\nthe cat"));
  BOOST_TEST(both != first + "---\n" + first);
}

// Whether it is written alone, or beside others that join and leave.
BOOST_AUTO_TEST_CASE(a_sample_does_not_depend_on_how_many_there_are) {
  const auto samples = [](int count) {
    const std::string all = written(
        {"--prompt=the cat", "--temperature=1", "--seed=1", "--num_samples=" + std::to_string(count)});
    std::vector<std::string> texts{""};
    for (std::size_t begin = 0; begin < all.size();) {
      const std::size_t end = all.find('\n', begin) + 1;
      const std::string line = all.substr(begin, end - begin);
      line == "---\n" ? texts.emplace_back() : texts.back() += line;
      begin = end;
    }
    return texts;
  };
  const auto eleven = samples(11);
  BOOST_TEST(eleven.size() == 11u);
  BOOST_TEST((std::set(eleven.begin(), eleven.end()).size()) == 11u);
  for (const int count : {1, 2, 5}) {
    const auto fewer = samples(count);
    for (std::size_t s = 0; s < fewer.size(); ++s) BOOST_TEST(fewer[s] == eleven[s]);
  }
}

BOOST_AUTO_TEST_CASE(a_prompt_may_come_from_a_file_or_standard_input) {
  const TemporaryDirectory folder;
  const std::string file = folder / "prompt.txt";
  cria::io::write_file(file, "the cat\n");
  const std::string text = written({"--prompt=the cat", "--seed=1"});
  BOOST_TEST(written({"--prompt_file=" + file, "--seed=1"}) == text);
  const auto outcome = test::run({"/bin/sh", "-c",
                                  "'" PRETRAIN_LLAMA "' generate --checkpoint='" + checkpoint() +
                                      "' --max_new_tokens=40 --seed=1 --prompt_file=- < '" + file + "'"});
  BOOST_TEST(outcome.output == text);
  const auto both = test::run(
      {PRETRAIN_LLAMA, "generate", "--checkpoint=" + checkpoint(), "--prompt=a", "--prompt_file=" + file});
  BOOST_TEST(both.errors == "error: --prompt and --prompt_file are given; one is allowed\n");
}

BOOST_AUTO_TEST_CASE(a_stop_string_ends_a_text_and_is_not_printed) {
  const std::string text = written({"--prompt=the cat", "--temperature=0"});
  const std::string stop = text.substr(text.size() / 2, 5);
  const std::size_t end = text.find(stop, std::string("the cat").size());
  BOOST_TEST(written({"--prompt=the cat", "--temperature=0", "--stop=never", "--stop=" + stop}) ==
             text.substr(0, end) + "\n");
}

BOOST_AUTO_TEST_CASE(rules_of_the_command_line_reach_the_sampler) {
  const std::string text = written({"--prompt=the cat", "--temperature=0"});
  const std::string one = written({"--prompt=the cat", "--temperature=0", "--logit_bias=66:1,67:1000"});
  const pretrain::Tokenizer tokenizer(cria::io::read_file(checkpoint() + "/tokenizer.model"));
  std::string want = "the cat";
  for (int i = 0; i < 40; ++i) want += tokenizer.bytes_of(67, false);
  BOOST_TEST(one == want + "\n");
  for (const char* option : {"--min_p=1", "--typical=1e-9 --min_p=1", "--repetition_penalty=1.0"}) {
    std::vector<std::string> more{
        "--prompt=the cat", std::string(option).starts_with("--rep") ? "--temperature=0" : "--temperature=1"};
    std::istringstream words(option);
    for (std::string word; words >> word;) more.push_back(word);
    BOOST_TEST(written(more) == text, option);
  }
  BOOST_TEST(written({"--prompt=the cat", "--temperature=0", "--repetition_penalty=9"}) != text);
}

BOOST_AUTO_TEST_CASE(a_full_context_ends_the_text_or_is_left) {
  // A byte at a time, so that tokens can be counted.
  const auto text_of = [](const std::string& end) {
    return written({"--temperature=0", "--logit_bias=68:1000", "--at_context_end=" + end});
  };
  BOOST_TEST(text_of("roll").size() - 1 == 40u);
  BOOST_TEST(text_of("stop").size() - 1 == 16u);  // BOS and 15 tokens are seen, and one more is predicted
  std::string prompt = "the cat and the dog ran and the sun and the tree sat on a mat and a blue cat";
  const auto outcome = test::run({PRETRAIN_LLAMA, "generate", "--checkpoint=" + checkpoint(),
                                  "--prompt=" + prompt, "--at_context_end=stop"});
  BOOST_TEST(outcome.errors.find("the model's context, which --at_context_end=stop does not leave, is 16") !=
                 std::string::npos,
             outcome.errors);
}

BOOST_AUTO_TEST_CASE(what_is_not_allowed_is_refused_by_name) {
  const auto error = [](const std::string& option) {
    return test::run({PRETRAIN_LLAMA, "generate", "--checkpoint=" + checkpoint(), option}).errors;
  };
  BOOST_TEST(error("--min_p=1.5") == "error: --min_p must be at least 0 and at most 1\n");
  BOOST_TEST(error("--typical=0") == "error: --typical must be above 0 and at most 1\n");
  BOOST_TEST(error("--repetition_penalty=0") ==
             "error: --repetition_penalty must be a number above 0; 1 means none\n");
  BOOST_TEST(error("--stop=") == "error: --stop is empty; it must be a text\n");
  BOOST_TEST(error("--at_context_end=end") == "error: --at_context_end is end; allowed: roll, stop\n");
  BOOST_TEST(
      error("--logit_bias=300:1") ==
      "error: logit_bias has `300:1`; it must be ID:BIAS, a token's number below 300 and what is added "
      "to its score\n");
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
