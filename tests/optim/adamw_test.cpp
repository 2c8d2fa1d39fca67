#include "cria/optim/adamw.hpp"

#include <boost/test/unit_test.hpp>
#include <cstring>

#include "cria/cria.hpp"
#include "support/error_message.hpp"
#include "support/llama_golden.hpp"
#include "support/memory.hpp"
#include "support/weights.hpp"

BOOST_AUTO_TEST_SUITE(optim)
BOOST_AUTO_TEST_SUITE(adamw)

namespace {

using namespace cria;

using test::Weights;

void check_against_pytorch(const char* name) {
  const auto golden = test::golden_json("ops.json")[name];
  Weights<double> model(5);
  model.weight.value().assign(golden["parameter"]["values"].get<std::vector<double>>());
  AdamW optimizer(model, {.learning_rate = golden["learning_rate"],
                          .beta1 = golden["beta1"],
                          .beta2 = golden["beta2"],
                          .epsilon = golden["epsilon"],
                          .weight_decay = golden["weight_decay"]});
  for (int step = 0; step < 5; ++step) {
    std::vector<double> gradient;
    for (int i = 0; i < 5; ++i) gradient.push_back(std::sin(2 + 0.9 * step + 0.37 * i));
    model.set_gradient(gradient);
    optimizer.step();
    const auto got = model.weight.value().to_vector();
    const auto want =
        golden["parameter_after_step"][static_cast<std::size_t>(step)].get<std::vector<double>>();
    for (std::size_t i = 0; i < 5; ++i) BOOST_TEST(got[i] == want[i], boost::test_tools::tolerance(1e-13));
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(five_steps_are_pytorchs_with_decay) {
  check_against_pytorch("adamw");
}

BOOST_AUTO_TEST_CASE(five_steps_are_pytorchs_without_decay) {
  check_against_pytorch("adamw_without_decay");
}

BOOST_AUTO_TEST_CASE(a_step_clears_the_gradients) {
  Weights<float> model(3);
  model.weight.value().assign(std::vector<float>{1, 2, 3});
  AdamW optimizer(model, {});
  model.set_gradient({1, 1, 1});
  optimizer.step();
  BOOST_TEST(!model.weight.has_grad());
  BOOST_TEST(optimizer.steps() == 1);
}

BOOST_AUTO_TEST_CASE(matrices_decay_and_vectors_do_not) {
  cria::nn::LlamaConfig config;
  const cria::nn::LlamaForCausalLM<float> model(config);
  auto handle = model;
  const AdamW optimizer(handle, {});
  BOOST_TEST(optimizer.decayed().values + optimizer.not_decayed().values == 8151840);
  BOOST_TEST(optimizer.decayed().tensors == 1 + 8 * 7);
  BOOST_TEST(optimizer.not_decayed().tensors == 8 * 2 + 1);
  BOOST_TEST(optimizer.not_decayed().values == 17 * 288);
}

BOOST_AUTO_TEST_CASE(the_decay_rule_can_be_replaced) {
  Weights<double> model(1);
  model.weight.value().assign(std::vector<double>{2.0});
  AdamW optimizer(model, {.learning_rate = 0.1,
                          .weight_decay_factor = [](std::string_view, const Shape&) { return 0.0; }});
  model.set_gradient({0.0});
  optimizer.step();
  BOOST_TEST(model.weight.value().item() == 2.0);
}

BOOST_AUTO_TEST_CASE(a_parameter_without_gradient_is_named_and_nothing_changes) {
  auto network = cria::nn::Sequential{cria::nn::Linear<float>(2, 2), cria::nn::Linear<float>(2, 2)};
  cria::nn::initialize(network, Rng(3));
  AdamW optimizer(network, {});
  const auto before = std::get<0>(network.modules).weight.value().to_vector();
  backward(sum(std::get<0>(network.modules)(Tensor<float>::full({1, 2}, 1.0f))));
  BOOST_TEST(
      test::error_message<AutogradError>([&] { optimizer.step(); }) ==
      "AdamW: the parameter '1.weight' got no gradient; every parameter must take part in the loss, unless "
      "AdamWOptions::missing_gradient is MissingGradient::skip");
  BOOST_TEST((std::get<0>(network.modules).weight.value().to_vector() == before));
  BOOST_TEST(optimizer.steps() == 0);
}

BOOST_AUTO_TEST_CASE(a_parameter_without_gradient_may_be_skipped) {
  auto network = cria::nn::Sequential{cria::nn::Linear<float>(2, 2), cria::nn::Linear<float>(2, 2)};
  cria::nn::initialize(network, Rng(3));
  auto& [used, unused] = network.modules;
  AdamW optimizer(network, {.missing_gradient = MissingGradient::skip});
  const auto used_before = used.weight.value().to_vector(), before = unused.weight.value().to_vector();
  backward(sum(used(Tensor<float>::full({1, 2}, 1.0f))));
  optimizer.step();
  BOOST_TEST(optimizer.steps() == 1);
  BOOST_TEST((used.weight.value().to_vector() != used_before));
  BOOST_TEST((unused.weight.value().to_vector() == before));
  for (const auto& state : optimizer.state_dict()) {
    if (!state.name.starts_with("1.")) continue;
    BOOST_TEST((state.read() == std::vector<std::byte>(4 * sizeof(float))), state.name);
  }
}

BOOST_AUTO_TEST_CASE(a_model_alone_is_enough) {
  Weights<float> model(3);
  AdamW optimizer(model);
  BOOST_TEST(optimizer.learning_rate() == AdamWOptions().learning_rate);
}

struct Stack {
  std::vector<cria::nn::Linear<float>> layers;
  static void visit(auto& self, auto&& field) { field("layers", self.layers); }
};

BOOST_AUTO_TEST_CASE(a_parameter_that_is_listed_twice_is_refused) {
  Stack model{std::vector<cria::nn::Linear<float>>(3, cria::nn::Linear<float>(2, 2))};
  const std::string want =
      "nn: 'layers.0.weight' and 'layers.1.weight' are one parameter; a copied module shares its parameters: "
      "make "
      "another by nn::clone, or, if it is meant to be shared, list it once in visit";
  BOOST_TEST(test::error_message<ConfigError>([&] { AdamW optimizer(model); }) == want);
  BOOST_TEST(test::error_message<ConfigError>([&] { cria::nn::parameter_count(model); }) == want);
  BOOST_TEST(test::error_message<ConfigError>([&] { cria::nn::state_dict(model); }) == want);
  for (auto& layer : model.layers) layer = cria::nn::clone(layer);
  BOOST_TEST(cria::nn::parameter_count(model) == 12);
  AdamW optimizer(model);
}

BOOST_AUTO_TEST_CASE(a_master_copy_follows_a_value_that_is_changed) {
  Weights<bfloat16> model(2);
  AdamW optimizer(model, {.learning_rate = 1e-4, .weight_decay = 0});
  model.weight.value().assign(std::vector{bfloat16(1.0f), bfloat16(2.0f)});  // after the optimiser was made
  model.set_gradient({1.0f, 1.0f});
  optimizer.step();
  BOOST_TEST(static_cast<float>(model.weight.value().to_vector()[0]) == 1.0f);
  BOOST_TEST(static_cast<float>(model.weight.value().to_vector()[1]) == 2.0f);
  // Only the first changes: the second keeps the digits that bfloat16 has not.
  model.weight.value().assign(std::vector{bfloat16(-1.0f), bfloat16(2.0f)});
  model.set_gradient({0.0f, 0.0f});
  optimizer.step();
  std::vector<float> master(2);
  const auto state = optimizer.state_dict();
  BOOST_TEST_REQUIRE(state[0].name == "weight.master");
  std::memcpy(master.data(), state[0].read().data(), 2 * sizeof(float));
  BOOST_TEST(std::abs(master[0] - -1.0f) < 2e-4f);
  BOOST_TEST(master[1] != 2.0f);
  BOOST_TEST(std::abs(master[1] - 2.0f) < 3e-4f);
}

BOOST_AUTO_TEST_CASE(bfloat16_weights_do_not_lose_small_updates) {
  Weights<bfloat16> model(1);
  model.weight.value().assign(std::vector{bfloat16(1.0f)});
  // 1e-4 is far below the spacing of bfloat16 at 1, 2^-8: without a master copy nothing would ever move.
  AdamW optimizer(model, {.learning_rate = 1e-4, .weight_decay = 0});
  for (int step = 0; step < 100; ++step) {
    model.set_gradient({1.0f});
    optimizer.step();
  }
  BOOST_TEST(static_cast<float>(model.weight.value().item()) == 0.98828125f);  // 0.99 in bfloat16
}

BOOST_AUTO_TEST_CASE(a_step_unscales_and_clips_as_separate_passes_do) {
  const std::vector<double> gradient{3, -4, 12, 0.5, 7};
  const auto after_two_steps = [&](auto&& step) {
    Weights<double> model(5);
    model.weight.value().assign(std::vector<double>{1, 2, 3, 4, 5});
    AdamW optimizer(model, {.learning_rate = 0.1});
    for (int i = 0; i < 2; ++i) {
      model.set_gradient(gradient);
      step(model, optimizer);
    }
    return model.weight.value().to_vector();
  };
  double norm = 0;
  const auto folded = after_two_steps([&](auto&, auto& optimizer) {
    optimizer.step({.loss_scale = 8.0, .max_norm = 0.5});
    norm = optimizer.gradient_norm();
  });
  const auto separate = after_two_steps([&](auto& model, auto& optimizer) {
    scale_gradients(model, 1.0 / 8.0);
    BOOST_TEST(clip_grad_norm(model, 0.5) == norm, boost::test_tools::tolerance(1e-15));
    optimizer.step();
  });
  for (std::size_t i = 0; i < 5; ++i) {
    BOOST_TEST(folded[i] == separate[i], boost::test_tools::tolerance(1e-14));
  }
}

/// Two dtypes in one model, and sizes that are no multiple of a pack or of a chunk.
struct Mixed {
  Parameter<float> first{{3, 5}}, third{{20001}};
  Parameter<bfloat16> second{{7}};
  static void visit(auto& self, auto&& field) {
    field("first", self.first);
    field("second", self.second);
    field("third", self.third);
  }
};

BOOST_AUTO_TEST_CASE(the_norm_is_that_of_all_dtypes_together_and_every_element_moves) {
  Mixed model;
  cria::nn::for_each_parameter(model, []<class T, class B>(const std::string&, Parameter<T, B>& parameter) {
    parameter.value().assign(std::vector<T>(static_cast<std::size_t>(parameter.size()), T(1.0f)));
    test::write(cria::sink(parameter).vec(),
                std::vector<float>(static_cast<std::size_t>(parameter.size()), 0.5f));
  });
  AdamW optimizer(model, {.learning_rate = 0.25, .weight_decay = 0});
  optimizer.step();
  BOOST_TEST(optimizer.gradient_norm() == std::sqrt(0.25 * (15 + 20001 + 7)),
             boost::test_tools::tolerance(1e-12));
  // Adam's first step has the length of the learning rate, whatever the gradient.
  cria::nn::for_each_parameter(model, [](const std::string&, const auto& parameter) {
    for (const auto x : parameter.value().to_vector()) {
      if (std::abs(static_cast<float>(x) - 0.75f) > 1e-6f) BOOST_TEST_REQUIRE(static_cast<float>(x) == 0.75f);
    }
    BOOST_TEST(!parameter.has_grad());
  });
}

void check_saved_state_goes_on_bitwise(bool values_first) {
  const auto start = [] {
    Weights<bfloat16> model(2);
    model.weight.value().assign(std::vector{bfloat16(1.0f), bfloat16(-0.5f)});
    return model;
  };
  const auto gradient = [](int step) {
    return std::vector<float>{std::sin(1.0f * static_cast<float>(step)), 0.3f};
  };
  auto straight = start();
  AdamW one(straight, {.learning_rate = 0.01});
  for (int step = 0; step < 6; ++step) {
    straight.set_gradient(gradient(step));
    one.step();
  }
  auto first = start();
  AdamW two(first, {.learning_rate = 0.01});
  for (int step = 0; step < 3; ++step) {
    first.set_gradient(gradient(step));
    two.step();
  }
  auto second = start();
  AdamW three(second, {.learning_rate = 0.01});
  const auto load_values = [&] { second.weight.value().assign(first.weight.value().to_vector()); };
  if (values_first) load_values();
  const auto from = two.state_dict(), to = three.state_dict();
  BOOST_TEST_REQUIRE(from.size() == 3u);
  for (std::size_t i = 0; i < from.size(); ++i) {
    BOOST_TEST(from[i].name == to[i].name);
    to[i].write(from[i].read());
  }
  if (!values_first) load_values();
  three.set_steps(two.steps());
  for (int step = 3; step < 6; ++step) {
    second.set_gradient(gradient(step));
    three.step();
  }
  for (std::size_t i = 0; i < from.size(); ++i)
    BOOST_TEST((three.state_dict()[i].read() == one.state_dict()[i].read()));
}

BOOST_AUTO_TEST_CASE(saved_state_goes_on_bitwise) {
  for (const bool values_first : {true, false}) check_saved_state_goes_on_bitwise(values_first);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
