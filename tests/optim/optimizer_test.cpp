// What all optimisers share, tried with each rule, and the rules but AdamW beside PyTorch.

#include "cria/optim/optimizer.hpp"

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <limits>

#include "cria/cria.hpp"
#include "support/error_message.hpp"
#include "support/llama_golden.hpp"
#include "support/op_case.hpp"
#include "support/weights.hpp"

BOOST_AUTO_TEST_SUITE(optim)
BOOST_AUTO_TEST_SUITE(optimizer)

namespace {

using namespace cria;
using test::Weights;

/// Five steps of what `make` makes, in T: beside PyTorch's, which are in double.
template <class T, class Make>
void check_steps(const char* name, double tolerance, Make make) {
  const auto golden = test::golden_json("ops.json")[name];
  Weights<T> model(5);
  const auto initial = golden["parameter"]["values"].get<std::vector<double>>();
  model.weight.value().assign(test::rounded<T>(initial));
  auto optimizer = make(model, golden);
  for (int step = 0; step < 5; ++step) {
    std::vector<T> gradient;
    for (int i = 0; i < 5; ++i) gradient.push_back(static_cast<T>(std::sin(2 + 0.9 * step + 0.37 * i)));
    model.set_gradient(gradient);
    optimizer.step();
    const auto got = model.weight.value().to_vector();
    const auto want =
        golden["parameter_after_step"][static_cast<std::size_t>(step)].get<std::vector<double>>();
    for (std::size_t i = 0; i < 5; ++i)
      BOOST_TEST(std::abs(static_cast<double>(got[i]) - want[i]) < tolerance);
  }
}

template <class Make>
void check_steps_of_each_type(const char* name, Make make) {
  check_steps<double>(name, 1e-14, make);
  check_steps<float>(name, 3e-7, make);
}

const auto adamw = [](auto& model) { return AdamW(model, {.learning_rate = 0.01}); };
const auto sgd = [](auto& model) { return Sgd(model, {.learning_rate = 0.01, .weight_decay = 0.1}); };
const auto nesterov = [](auto& model) { return Sgd(model, {.learning_rate = 0.01, .nesterov = true}); };
const auto lion = [](auto& model) { return Lion(model, {.learning_rate = 0.01}); };

/// Calls f(make) for each optimiser.
template <class F>
void for_each_optimizer(F f) {
  f(adamw);
  f(sgd);
  f(nesterov);
  f(lion);
}

}  // namespace

BOOST_AUTO_TEST_CASE(five_steps_of_sgd_are_pytorchs) {
  for (const char* name : {"sgd", "sgd_nesterov"}) {
    check_steps_of_each_type(name, [](auto& model, const auto& golden) {
      return Sgd(model, {.learning_rate = golden["learning_rate"],
                         .momentum = golden["momentum"],
                         .nesterov = golden["nesterov"],
                         .weight_decay = golden["weight_decay"]});
    });
  }
}

BOOST_AUTO_TEST_CASE(five_steps_of_lion_are_the_papers) {
  check_steps_of_each_type("lion", [](auto& model, const auto& golden) {
    return Lion(model, {.learning_rate = golden["learning_rate"],
                        .beta1 = golden["beta1"],
                        .beta2 = golden["beta2"],
                        .weight_decay = golden["weight_decay"]});
  });
}

BOOST_AUTO_TEST_CASE(lion_goes_by_the_sign_which_is_zero_of_zero_and_nan_of_nan) {
  const cria::ops::Lion::Factors<float> update({0.9, 0.99}, 0.5, 0.0);
  float x = 1, momentum = 0;
  update(0.0f, x, momentum);
  BOOST_TEST(x == 1.0f);
  update(2.0f, x, momentum);
  BOOST_TEST(x == 0.5f);
  BOOST_TEST(momentum == 0.02f, boost::test_tools::tolerance(1e-6f));
  momentum = std::numeric_limits<float>::quiet_NaN();
  update(0.0f, x, momentum);
  BOOST_TEST(std::isnan(x));
}

// Three steps of bfloat16 parameters: their master copies are what float parameters become, bit for bit, and
// the values what these round to. The size is no multiple of a pack or a chunk.
BOOST_AUTO_TEST_CASE(sixteen_bit_parameters_follow_the_float_ones) {
  constexpr std::int64_t size = 20001;
  const auto start = test::rounded<bfloat16>(test::normals(size, 1));
  for_each_optimizer([&](auto make) {
    Weights<float> exact(size);
    Weights<bfloat16> rounded(size);
    rounded.weight.value().assign(start);
    exact.weight.value().assign(cast<float>(rounded.weight.value()).to_vector());
    auto of_exact = make(exact), of_rounded = make(rounded);
    for (std::uint64_t step = 0; step < 3; ++step) {
      const auto gradient = test::rounded<float>(test::normals(size, 2 + step));
      exact.set_gradient(gradient);
      rounded.set_gradient(gradient);
      of_exact.step({.max_norm = 1.0});
      of_rounded.step({.max_norm = 1.0});
    }
    const auto want = exact.weight.value().to_vector();
    std::vector<float> master(want.size());
    const auto state = of_rounded.state_dict();
    BOOST_TEST_REQUIRE(state[0].name == "weight.master");
    std::memcpy(master.data(), state[0].read().data(), master.size() * sizeof(float));
    BOOST_TEST((master == want));
    BOOST_TEST((cast<float>(cast<bfloat16>(exact.weight.value())).to_vector() ==
                cast<float>(rounded.weight.value()).to_vector()));
  });
}

BOOST_AUTO_TEST_CASE(state_has_the_rules_names) {
  const auto names = [](auto make) {
    Weights<float> model(2);
    std::vector<std::string> all;
    for (const auto& tensor : make(model).state_dict()) all.push_back(tensor.name);
    return all;
  };
  BOOST_TEST((names(adamw) == std::vector<std::string>{"weight.first_moment", "weight.second_moment"}));
  BOOST_TEST((names(sgd) == std::vector<std::string>{"weight.momentum"}));
  BOOST_TEST((names(lion) == std::vector<std::string>{"weight.momentum"}));
}

BOOST_AUTO_TEST_CASE(a_step_with_a_gradient_that_is_not_finite_changes_nothing) {
  for_each_optimizer([](auto make) {
    Weights<float> model(2);
    model.weight.value().assign(std::vector<float>{1, 2});
    auto optimizer = make(model);
    model.set_gradient({std::numeric_limits<float>::quiet_NaN(), 1.0f});
    optimizer.step();
    BOOST_TEST(optimizer.steps() == 0);
    BOOST_TEST(std::isnan(optimizer.gradient_norm()));
    BOOST_TEST((model.weight.value().to_vector() == std::vector<float>{1, 2}));
  });
}

BOOST_AUTO_TEST_CASE(an_error_names_the_optimiser) {
  Weights<float> model(2);
  Lion optimizer(model);
  BOOST_TEST(test::error_message<AutogradError>([&] { optimizer.step(); }) ==
             "Lion: the parameter 'weight' got no gradient; every parameter must take part in the loss, "
             "unless LionOptions::missing_gradient is MissingGradient::skip");
}

BOOST_AUTO_TEST_CASE(options_that_cannot_be_are_refused_by_name) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const auto message = [](auto make) {
    Weights<float> model(2);
    return test::error_message<ConfigError>([&] { make(model); });
  };
  const auto of_adamw = [&](const AdamWOptions& options) {
    return message([&](auto& model) { AdamW(model, options); });
  };
  BOOST_TEST(of_adamw({.learning_rate = -1}) ==
             "AdamW: learning_rate is -1.000000; it must be a number from 0 on");
  BOOST_TEST(of_adamw({.learning_rate = nan}) ==
             "AdamW: learning_rate is nan; it must be a number from 0 on");
  BOOST_TEST(of_adamw({.beta1 = 2}) == "AdamW: beta1 is 2.000000; it must be in [0, 1)");
  BOOST_TEST(of_adamw({.beta2 = 1}) == "AdamW: beta2 is 1.000000; it must be in [0, 1)");
  BOOST_TEST(of_adamw({.epsilon = -1}) == "AdamW: epsilon is -1.000000; it must be a number from 0 on");
  BOOST_TEST(of_adamw({.weight_decay = nan}) == "AdamW: weight_decay is nan; it must be a number from 0 on");
  BOOST_TEST(of_adamw({.learning_rate_factor = [](std::string_view, const Shape&) { return -1.0; }}) ==
             "AdamW: learning_rate_factor is -1.000000; it must be a number from 0 on");
  BOOST_TEST(message([](auto& model) { Lion(model, {.beta1 = nan}); }) ==
             "Lion: beta1 is nan; it must be in [0, 1)");
  BOOST_TEST(message([](auto& model) { Lion(model, {.beta2 = -1}); }) ==
             "Lion: beta2 is -1.000000; it must be in [0, 1)");
  BOOST_TEST(message([](auto& model) { Sgd(model, {.momentum = 1}); }) ==
             "Sgd: momentum is 1.000000; it must be in [0, 1)");
}

BOOST_AUTO_TEST_CASE(options_that_are_functions_must_not_be_empty) {
  const auto check = []<class Options>(const std::string& name, const Options&, auto make) {
    const auto message = [&](auto function) {
      Options options;
      options.*function = nullptr;
      Weights<float> model(2);
      return test::error_message<ConfigError>([&] { make(model, options); });
    };
    BOOST_TEST(message(&Options::decay) ==
               name + ": decay is empty; it must be a function of a parameter's name and shape");
    BOOST_TEST(message(&Options::learning_rate_factor) ==
               name +
                   ": learning_rate_factor is empty; it must be a function of a parameter's name and shape");
  };
  check("AdamW", AdamWOptions{}, [](auto& model, const auto& options) { AdamW(model, options); });
  check("Sgd", SgdOptions{}, [](auto& model, const auto& options) { Sgd(model, options); });
  check("Lion", LionOptions{}, [](auto& model, const auto& options) { Lion(model, options); });
}

BOOST_AUTO_TEST_CASE(a_step_whose_numbers_cannot_be_changes_nothing) {
  Weights<float> model(2);
  Sgd optimizer(model);
  model.set_gradient({1.0f, -2.0f});
  BOOST_TEST(test::error_message<ConfigError>([&] { optimizer.set_learning_rate(-1); }) ==
             "Sgd: learning_rate is -1.000000; it must be a number from 0 on");
  BOOST_TEST(test::error_message<ConfigError>([&] { optimizer.set_steps(-1); }) ==
             "Sgd: steps is -1; it must be at least 0");
  BOOST_TEST(test::error_message<ConfigError>([&] { optimizer.step({.loss_scale = 0}); }) ==
             "Sgd: loss_scale is 0.000000; it must be positive");
  BOOST_TEST(test::error_message<ConfigError>([&] { optimizer.step({.max_norm = -1}); }) ==
             "Sgd: max_norm is -1.000000; it must be 0 or more");
  BOOST_TEST(optimizer.learning_rate() == SgdOptions{}.learning_rate);
  BOOST_TEST(optimizer.steps() == 0);
  BOOST_TEST(model.weight.has_grad());
}

BOOST_AUTO_TEST_CASE(a_missing_gradient_may_count_as_zero) {
  const auto after_two_steps = [](MissingGradient missing, bool with_zeros) {
    Weights<float> model(2);
    Sgd optimizer(model, {.learning_rate = 0.5, .momentum = 0.5, .missing_gradient = missing});
    model.set_gradient({1.0f, -2.0f});
    optimizer.step();
    if (with_zeros) model.set_gradient({0.0f, 0.0f});
    optimizer.step();
    return model.weight.value().to_vector();
  };
  BOOST_TEST((after_two_steps(MissingGradient::skip, false) == std::vector<float>{-0.5f, 1.0f}));
  BOOST_TEST((after_two_steps(MissingGradient::zero, false) == std::vector<float>{-0.75f, 1.5f}));
  BOOST_TEST((after_two_steps(MissingGradient::error, true) == std::vector<float>{-0.75f, 1.5f}));
}

struct Two {
  Parameter<double> slow{{2}}, fast{{2}};
  static void visit(auto& self, auto&& field) {
    field("slow", self.slow);
    field("fast", self.fast);
  }
};

BOOST_AUTO_TEST_CASE(the_learning_rate_has_a_factor_for_each_parameter) {
  Two model;
  Sgd optimizer(model, {.learning_rate = 0.5,
                        .momentum = 0.0,
                        .learning_rate_factor = [](std::string_view name, const Shape&) {
                          return name == "slow" ? 0.25 : 1.0;
                        }});
  for (auto* parameter : {&model.slow, &model.fast}) test::write(cria::sink(*parameter).vec(), {1.0, 2.0});
  optimizer.step();
  BOOST_TEST((model.slow.value().to_vector() == std::vector<double>{-0.125, -0.25}));
  BOOST_TEST((model.fast.value().to_vector() == std::vector<double>{-0.5, -1.0}));
}

namespace {

/// A module that forgets a field, and one that has constructors and forgets a module.
struct Forgetful {
  Parameter<float> listed{{2}, 1.0}, forgotten{{2, 3}, 1.0};
  static void visit(auto& self, auto&& field) { field("listed", self.listed); }
};
template <class T>
class ForgetsALayer {
 public:
  ForgetsALayer() : first_(3, 3), second_(3, 1) {}
  Tensor<T> operator()(const Tensor<T>& x) const { return second_(first_(x)); }
  static void visit(auto& self, auto&& field) { field("first", self.first_); }

 private:
  cria::nn::Linear<T> first_, second_;
};

template <class T>
void check_forgotten_layer() {
  ForgetsALayer<T> model;
  Sgd optimizer(model, {.learning_rate = 0.1});
  backward(sum(model(Tensor<T>::full({2, 3}, static_cast<T>(1.0f)))));
  BOOST_TEST(cria::test::error_message<AutogradError>([&] { optimizer.step(); }) ==
             "Sgd: a parameter of shape [1, 3] got a gradient and no module lists it; visit must list every "
             "field that has parameters");
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_field_that_visit_leaves_out_is_noticed_by_its_gradient) {
  Forgetful model;
  AdamW optimizer(model);
  const auto before = model.listed.value().to_vector();
  backward(sum(model.listed) + sum(model.forgotten));
  BOOST_TEST(
      cria::test::error_message<AutogradError>([&] { optimizer.step(); }) ==
      "AdamW: a parameter of shape [2, 3] got a gradient and no module lists it; visit must list every "
      "field that has parameters");
  BOOST_TEST((model.listed.value().to_vector() == before));
  model.forgotten.set_requires_grad(false);  // what is frozen need not be listed
  backward(sum(model.listed) + sum(model.forgotten));
  optimizer.step();
  check_forgotten_layer<float>();
  check_forgotten_layer<bfloat16>();
}

BOOST_AUTO_TEST_CASE(parameters_of_other_modules_and_former_ones_do_not_matter) {
  Forgetful model;
  AdamW optimizer(model);
  {
    const Parameter<float> former({2}, 1.0);
    backward(sum(former));
  }
  cria::nn::Linear<float> other(2, 2);
  cria::nn::initialize(other, Rng(1));
  backward(sum(model.listed) + sum(other(Tensor<float>::full({1, 2}, 1.0f))));
  optimizer.step();
  BOOST_TEST(other.weight.has_grad());
}

BOOST_AUTO_TEST_CASE(a_model_without_anything_to_train_is_refused) {
  Forgetful model;
  cria::nn::freeze(model);
  BOOST_TEST(cria::test::error_message<ConfigError>([&] { AdamW optimizer(model); }) ==
             "AdamW: all parameters of the model are frozen; at least one must be trained (nn::unfreeze)");
  cria::nn::Sequential nothing{cria::nn::Relu{}};
  BOOST_TEST(cria::test::error_message<ConfigError>([&] { AdamW optimizer(nothing); }) ==
             "AdamW: the model's visit lists no parameter; at least one is needed");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
