#include "cria/nn/recompute.hpp"

#include <boost/test/unit_test.hpp>
#include <utility>
#include <vector>

#include "cria/cria.hpp"
#include "support/compare.hpp"
#include "support/error_message.hpp"
#include "support/memory.hpp"
#include "support/threads.hpp"

BOOST_AUTO_TEST_SUITE(nn)
BOOST_AUTO_TEST_SUITE(recompute)

namespace {

using namespace cria;
using cria::nn::Recompute;

cria::nn::LlamaConfig config(Recompute recompute) {
  cria::nn::LlamaConfig c;
  c.vocab_size = 50;
  c.hidden_size = 48;
  c.intermediate_size = 128;
  c.num_hidden_layers = 3;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 2;
  c.max_position_embeddings = 40;
  c.dropout = 0.1f;
  c.recompute = recompute;
  return c;
}

struct Outcome {
  test::Values loss_and_gradients;
  std::size_t peak = 0;
};

template <class T>
Outcome train(Recompute recompute) {
  cria::nn::LlamaForCausalLM<T> model(config(recompute));
  initialize(model, Rng(3));
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < 5 * 40; ++i) tokens.push_back((i * i + 3 * i) % 50);
  const auto x = Tensor<std::int32_t>::from({5, 40}, tokens);
  Outcome outcome;
  // On one thread: each has its own working memory, and how much of it there is at once depends on timing.
  outcome.peak = test::on_threads(1, [&] {
    return test::peak_bytes([&] {
      const cria::nn::DropoutStream stream(Rng(8));
      const auto loss = model.loss(x, x);
      backward(loss);
      outcome.loss_and_gradients = test::to_values(loss);
    });
  });
  cria::nn::for_each_parameter(model, [&](const std::string&, const auto& parameter) {
    const auto gradient = test::to_values(parameter.grad());
    outcome.loss_and_gradients.insert(outcome.loss_and_gradients.end(), gradient.begin(), gradient.end());
  });
  return outcome;
}

template <class T>
void check_choices() {
  const Outcome all = train<T>(Recompute::none), cheap = train<T>(Recompute::cheap);
  const Outcome layer = train<T>(Recompute::layer);
  BOOST_TEST((cheap.loss_and_gradients == all.loss_and_gradients));
  BOOST_TEST((layer.loss_and_gradients == all.loss_and_gradients));
  BOOST_TEST(cheap.peak < all.peak);
  BOOST_TEST(layer.peak < cheap.peak);
  for (const auto choice : {Recompute::attention, Recompute::mlp}) {
    const Outcome outcome = train<T>(choice);
    BOOST_TEST((outcome.loss_and_gradients == all.loss_and_gradients));
    BOOST_TEST(outcome.peak < cheap.peak);
    BOOST_TEST(outcome.peak > layer.peak);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_choice_gives_the_same_bits_in_less_memory) {
  check_choices<float>();
  check_choices<bfloat16>();
}

BOOST_AUTO_TEST_CASE(any_function_of_a_tensor_can_be_computed_again) {
  const auto x = Tensor<float>::from({2}, {1, 2}).set_requires_grad();
  int calls = 0;
  const auto cube = [&calls](const Tensor<float>& t) {
    ++calls;
    return t * t * t;
  };
  backward(sum(cria::nn::recompute(cube, x) + x));
  BOOST_TEST(calls == 2);
  BOOST_TEST((x.grad().to_vector() == std::vector<float>{4, 13}));
  {
    const NoGrad guard;
    BOOST_TEST(!cria::nn::recompute(cube, x).requires_grad());
  }
  BOOST_TEST(calls == 3);
}

BOOST_AUTO_TEST_CASE(what_is_given_back_as_it_is_gets_its_gradient) {
  const auto x = Tensor<float>::from({2}, {1, 2}).set_requires_grad();
  backward(sum(3.0f * cria::nn::recompute([](const auto& h) { return h; }, x)));
  BOOST_TEST((x.grad().to_vector() == std::vector<float>{3, 3}));
  const Parameter<bfloat16> w({2}, 1.0);
  const auto h = Tensor<bfloat16>::full({2}, bfloat16(1));
  backward(sum(cria::nn::recompute([w](const auto&) -> Tensor<bfloat16> { return w; }, h)));
  BOOST_TEST((w.grad().to_vector() == std::vector<float>{1, 1}));
}

BOOST_AUTO_TEST_CASE(running_statistics_follow_once) {
  const auto x = Tensor<float>::from({2, 1, 1, 2}, {1, 2, 3, 4}).set_requires_grad();
  const auto trained = [&](bool again) {
    const cria::nn::BatchNorm2d<float> norm(1);
    const auto outer = [norm](const Tensor<float>& h) { return cria::nn::recompute(norm, h); };
    backward(sum(again ? cria::nn::recompute(outer, x) : norm(x)));
    return std::pair(norm.running_mean.value().item(), norm.running_variance.value().item());
  };
  BOOST_TEST((trained(true) == trained(false)));
  BOOST_TEST(!is_recomputing());
}

BOOST_AUTO_TEST_CASE(parameters_that_are_read_again_may_not_change_before_backward) {
  cria::nn::Linear<float> layer(2, 2), before(2, 2);
  cria::nn::initialize(layer, Rng(1));
  const auto x = Tensor<float>::full({1, 2}, 1.0f).set_requires_grad();
  const auto y = sum(cria::nn::recompute([=](const Tensor<float>& h) { return layer(h); }, before(x)));
  layer.weight.value().assign(std::vector<float>(4, 1.0f));
  BOOST_TEST(
      test::error_message<AutogradError>([&] { backward(y); }) ==
      "backward: a value that 'recompute' was computed from was changed afterwards; values may be changed "
      "before an operation reads them, or after backward");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
