#include "pretrain_llama/sampler.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cria/core/error.hpp"
#include "support/error_message.hpp"
#include "support/golden.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(sampler)

namespace {

using namespace cria;
using pretrain::Sampler, pretrain::SamplingOptions;

/// The options of a case; transformers takes scores as they are where it is told nothing.
SamplingOptions read_options(const nlohmann::json& json) {
  SamplingOptions options;
  options.temperature = json.value("temperature", 1.0);
  options.top_k = json.value("top_k", 0);
  options.top_p = json.value("top_p", 1.0);
  options.min_p = json.value("min_p", 0.0);
  options.typical = json.value("typical", 1.0);
  options.repetition_penalty = json.value("repetition_penalty", 1.0);
  const auto biases = json.value("logit_bias", nlohmann::json::object());
  for (const auto& [id, bias] : biases.items()) {
    options.logit_bias.push_back(id + ":" + bias.dump());
  }
  return options;
}

}  // namespace

BOOST_AUTO_TEST_CASE(probabilities_are_those_of_transformers) {
  const auto golden = test::golden_json("sampler.json");
  const auto scores = golden["scores"].get<std::vector<float>>();
  for (const auto& each : golden["cases"]) {
    const SamplingOptions options = read_options(each["options"]);
    pretrain::check(options, "");
    Sampler sampler(options, pretrain::read_logit_bias(options.logit_bias, std::ssize(scores)), 0);
    sampler.saw(golden["text"].get<std::vector<std::int32_t>>());
    std::vector<double> got(scores.size());
    for (const auto& [id, probability] : sampler.choices(scores)) {
      got[static_cast<std::size_t>(id)] = probability;
    }
    for (std::size_t i = 0; i < got.size(); ++i) {
      BOOST_TEST(std::abs(got[i] - each["probabilities"][i].get<double>()) < 2e-9,
                 each["options"].dump() << ", token " << i << ": " << got[i]);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_token_is_drawn_as_often_as_its_probability_says) {
  const std::vector<double> probability{0.1, 0.4, 0.2, 0.3};
  std::vector<float> scores;
  for (const double p : probability) scores.push_back(static_cast<float>(std::log(p)));
  SamplingOptions options;
  options.temperature = 1;
  Sampler sampler(options, {}, 0);
  constexpr int draws = 20'000;
  std::vector<double> share(scores.size());
  for (int i = 0; i < draws; ++i) share[static_cast<std::size_t>(sampler.choose(scores))] += 1.0 / draws;
  for (std::size_t i = 0; i < share.size(); ++i) BOOST_TEST(std::abs(share[i] - probability[i]) < 0.015);
}

BOOST_AUTO_TEST_CASE(what_was_drawn_is_in_the_text) {
  SamplingOptions options;
  options.temperature = 0;
  options.repetition_penalty = 4;
  Sampler sampler(options, {}, 0);
  const std::vector<float> scores{1, 2.5f, -1, 0.5f};
  std::vector<std::int32_t> drawn;
  for (int i = 0; i < 4; ++i) drawn.push_back(sampler.choose(scores));
  BOOST_TEST((drawn == std::vector<std::int32_t>{1, 0, 1, 1}));  // 2.5 counts 0.625, and 1 then 0.25
}

BOOST_AUTO_TEST_CASE(texts_of_a_seed_have_random_numbers_of_their_own) {
  const std::vector<float> scores(50, 0.0f);
  const auto drawn = [&](std::uint64_t seed, std::uint64_t number) {
    SamplingOptions options;
    options.seed = seed;
    Sampler sampler(options, {}, number);
    std::vector<std::int32_t> all;
    for (int i = 0; i < 10; ++i) all.push_back(sampler.choose(scores));
    return all;
  };
  BOOST_TEST((drawn(1, 2) == drawn(1, 2)));
  BOOST_TEST((drawn(1, 2) != drawn(1, 3)));
  BOOST_TEST((drawn(1, 2) != drawn(2, 2)));
}

BOOST_AUTO_TEST_CASE(a_bias_is_a_token_and_a_number) {
  BOOST_TEST(pretrain::read_logit_bias({"3:-1.5"}, 4).front().bias == -1.5);
  for (const char* text : {"", "3", "3:", ":1", "4:1", "-1:1", "3:x", "3:1x", "3:inf"}) {
    BOOST_TEST(test::error_message<ConfigError>([&] {
                 pretrain::read_logit_bias({text}, 4);
               }).starts_with("logit_bias has `" + std::string(text) + "`"));
  }
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
