#include <boost/test/unit_test.hpp>
#include <cmath>
#include <numeric>

#include "cria/cria.hpp"

BOOST_AUTO_TEST_SUITE(nn)
BOOST_AUTO_TEST_SUITE(mixed_precision)

namespace {

using namespace cria;

#ifdef CRIA_CUDA_EMULATION
constexpr int steps = 40, sequences = 2;  // emulation takes its time
constexpr double learnt = 0.3;
#else
constexpr int steps = 200, sequences = 8;
constexpr double learnt = 1.0;
#endif

/// Losses of a small Llama on sequences in which each token follows from the one before, with noise.
template <class T>
std::vector<double> losses(int count) {
  cria::nn::LlamaConfig config;
  config.vocab_size = 64;
  config.hidden_size = 48;
  config.intermediate_size = 96;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.max_position_embeddings = 32;
  // Start from the same rounded weights in every dtype.
  cria::nn::LlamaForCausalLM<float> start(config);
  initialize(start, Rng(7));
  cria::nn::LlamaForCausalLM<T> model(config);
  std::vector<std::vector<float>> values;
  cria::nn::for_each_parameter(
      start, [&](const std::string&, const auto& p) { values.push_back(p.value().to_vector()); });
  std::size_t index = 0;
  cria::nn::for_each_parameter(model, [&](const std::string&, auto& p) {
    std::vector<T> rounded;
    for (const float x : values[index]) rounded.push_back(static_cast<T>(x));
    ++index;
    p.value().assign(rounded);
  });
  AdamW optimizer(model, {.learning_rate = 2e-3});
  GradScaler scaler({.enabled = std::is_same_v<T, float16>});
  Rng rng(11);
  std::vector<double> result;
  for (int step = 0; step < count; ++step) {
    std::vector<std::int32_t> inputs, targets;
    for (int b = 0; b < sequences; ++b) {
      auto token = static_cast<std::int32_t>(rng.below(64));
      for (int t = 0; t < 32; ++t) {
        inputs.push_back(token);
        token = static_cast<std::int32_t>(
            rng.uniform() < 0.2 ? rng.below(64) : static_cast<std::uint64_t>(token * 13 + 5) % 64);
        targets.push_back(token);
      }
    }
    const auto loss = model.loss(Tensor<std::int32_t>::from({sequences, 32}, inputs),
                                 Tensor<std::int32_t>::from({sequences, 32}, targets));
    backward(loss, static_cast<float>(scaler.scale()));
    optimizer.step({.loss_scale = scaler.scale(), .max_norm = 1.0});
    scaler.update(optimizer.gradient_norm());
    result.push_back(static_cast<double>(loss.item()));
  }
  return result;
}

/// Means over windows of 20 steps.
std::vector<double> smoothed(const std::vector<double>& losses) {
  std::vector<double> means;
  for (std::size_t first = 0; first + 20 <= losses.size(); first += 20) {
    const auto begin = losses.begin() + static_cast<std::ptrdiff_t>(first);
    means.push_back(std::accumulate(begin, begin + 20, 0.0) / 20);
  }
  return means;
}

const std::vector<double>& float32_losses() {
  static const auto once = smoothed(losses<float>(steps));
  return once;
}

template <class T>
void check_follows_float32() {
  const auto want = float32_losses(), got = smoothed(losses<T>(steps));
  BOOST_TEST_REQUIRE(want.back() < want.front() - learnt);  // it learns
  for (std::size_t i = 0; i < want.size(); ++i)
    BOOST_TEST(std::abs(got[i] - want[i]) < 0.02, "window " << i << ": " << got[i] << " against " << want[i]);
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_first_losses_are_those_of_float32) {
  const auto want = losses<float>(3), in_bfloat16 = losses<bfloat16>(3), in_float16 = losses<float16>(3);
  for (std::size_t i = 0; i < want.size(); ++i) {
    BOOST_TEST(std::abs(in_bfloat16[i] - want[i]) < 0.02, "bfloat16, step " << i);
    BOOST_TEST(std::abs(in_float16[i] - want[i]) < 0.02, "float16, step " << i);
  }
}

BOOST_AUTO_TEST_CASE(bfloat16_training_follows_float32) {
  check_follows_float32<bfloat16>();
}

BOOST_AUTO_TEST_CASE(float16_training_follows_float32) {
  check_follows_float32<float16>();
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
