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

/// sin(start + 0.37 i)
std::vector<double> wave(double start, std::int64_t size) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < size; ++i) values.push_back(std::sin(start + 0.37 * static_cast<double>(i)));
  return values;
}

template <class T>
void check_near(const Tensor<T>& got, const std::vector<double>& want, double tolerance) {
  const auto values = got.to_vector();
  BOOST_TEST_REQUIRE(values.size() == want.size());
  for (std::size_t i = 0; i < want.size(); ++i) {
    BOOST_TEST(std::abs(test::to_double(values[i]) - want[i]) <= tolerance,
               "element " << i << ": got " << test::to_double(values[i]) << ", want " << want[i]);
  }
}

/// The parameters of the goldens.
template <class T>
struct ThreeShapes {
  Parameter<T> wide{{3, 5}}, tall{{5, 3}}, vector{{4}};
  static void visit(auto& self, auto&& field) {
    field("wide", self.wide);
    field("tall", self.tall);
    field("vector", self.vector);
  }
};

/// Twenty steps of what `make` makes, in T: beside PyTorch's, which are in double.
template <class T, class Make>
void check_steps(const char* name, double tolerance, Make make) {
  const auto golden = test::golden_json("optimizers.json")["after_step"][name];
  ThreeShapes<T> model;
  Parameter<T>* const parameters[] = {&model.wide, &model.tall, &model.vector};
  for (int k = 0; k < 3; ++k) {
    parameters[k]->value().assign(test::rounded<T>(wave(1 + k, parameters[k]->size())));
  }
  auto optimizer = make(model);
  for (int step = 0; step < 20; ++step) {
    for (int k = 0; k < 3; ++k) {
      test::write(cria::sink(*parameters[k]).vec(),
                  test::rounded<acc_t<T>>(wave(2 + 0.9 * step + k, parameters[k]->size())));
    }
    optimizer.step();
    if (step != 0 && step != 19) continue;
    BOOST_TEST_CONTEXT(name << ", " << dtype_name<T> << ", step " << step + 1)
    cria::nn::for_each_parameter(model, [&](const std::string& field, const Parameter<T>& parameter) {
      check_near(parameter.value(),
                 golden[std::to_string(step + 1)][field].template get<std::vector<double>>(), tolerance);
    });
  }
}

template <class Make>
void check_steps_of_each_type(const char* name, Make make, double tolerance = 1e-6) {
  check_steps<double>(name, 1e-13, make);
  check_steps<float>(name, tolerance, make);
}

const auto adam = [](auto& model) { return Adam(model, {.learning_rate = 0.01, .weight_decay = 0.1}); };
const auto adamw = [](auto& model) { return AdamW(model, {.learning_rate = 0.01}); };
const auto sgd = [](auto& model) {
  return SGD(model, {.learning_rate = 0.01, .momentum = 0.9, .weight_decay = 0.1});
};
const auto nesterov = [](auto& model) {
  return SGD(model, {.learning_rate = 0.01, .momentum = 0.9, .nesterov = true});
};
const auto lion = [](auto& model) { return Lion(model, {.learning_rate = 0.01}); };
const auto rmsprop = [](auto& model) { return RMSprop(model, {.learning_rate = 0.01, .momentum = 0.5}); };
const auto adafactor = [](auto& model) {
  return Adafactor(model, {.learning_rate = 0.01, .weight_decay = 0.1});
};
const auto muon = [](auto& model) { return Muon(model, {.learning_rate = 0.01}); };

/// Calls f(make) for each optimiser.
template <class F>
void for_each_optimizer(F f) {
  f(adam);
  f(adamw);
  f(sgd);
  f(nesterov);
  f(lion);
  f(rmsprop);
  f(adafactor);
  f(muon);
}

}  // namespace

BOOST_AUTO_TEST_CASE(twenty_steps_are_pytorchs) {
  constexpr auto all = [](std::string_view, const Shape&) { return 1.0; };
  check_steps_of_each_type("sgd", [&](auto& model) {
    return SGD(model, {.learning_rate = 0.02, .weight_decay = 0.1, .weight_decay_factor = all});
  });
  check_steps_of_each_type("sgd_momentum", [&](auto& model) {
    return SGD(model,
               {.learning_rate = 0.02, .momentum = 0.9, .weight_decay = 0.1, .weight_decay_factor = all});
  });
  check_steps_of_each_type("sgd_nesterov", [&](auto& model) {
    return SGD(model, {.learning_rate = 0.02, .momentum = 0.9, .nesterov = true});
  });
  check_steps_of_each_type("adam", [&](auto& model) {
    return Adam(model, {.learning_rate = 0.02,
                        .beta1 = 0.8,
                        .beta2 = 0.95,
                        .epsilon = 1e-6,
                        .weight_decay = 0.1,
                        .weight_decay_factor = all});
  });
  check_steps_of_each_type("adamw", [&](auto& model) {
    return AdamW(model, {.learning_rate = 0.02,
                         .beta1 = 0.8,
                         .beta2 = 0.95,
                         .epsilon = 1e-6,
                         .weight_decay = 0.1,
                         .weight_decay_factor = all});
  });
  check_steps_of_each_type("lion", [&](auto& model) {
    return Lion(
        model,
        {.learning_rate = 0.02, .beta1 = 0.7, .beta2 = 0.6, .weight_decay = 0.1, .weight_decay_factor = all});
  });
  check_steps_of_each_type("rmsprop", [&](auto& model) {
    return RMSprop(model, {.learning_rate = 0.02,
                           .alpha = 0.9,
                           .epsilon = 1e-6,
                           .weight_decay = 0.1,
                           .weight_decay_factor = all});
  });
  check_steps_of_each_type("rmsprop_momentum", [&](auto& model) {
    return RMSprop(model, {.learning_rate = 0.02, .alpha = 0.9, .epsilon = 1e-6, .momentum = 0.8});
  });
  check_steps_of_each_type("adafactor", [&](auto& model) {
    return Adafactor(model, {.learning_rate = 0.5, .weight_decay = 0.1, .weight_decay_factor = all});
  });
  constexpr double of_muon = 1e-5;  // small singular values, and what they are rounded by, are made larger
  check_steps_of_each_type(
      "muon", [&](auto& model) { return Muon(model, {.learning_rate = 0.02, .weight_decay_factor = all}); },
      of_muon);
  check_steps_of_each_type(
      "muon_original",
      [&](auto& model) {
        return Muon(model, {.learning_rate = 0.02, .scale = MuonScale::original, .weight_decay_factor = all});
      },
      of_muon);
}

BOOST_AUTO_TEST_CASE(a_moving_average_is_pytorchs) {
  const auto golden = test::golden_json("optimizers.json")["average"].get<std::vector<double>>();
  const auto check = [&]<class T>(T, double tolerance) {
    Weights<T> model(4);
    model.weight.value().assign(test::rounded<T>(wave(1, 4)));
    SGD optimizer(model, {.learning_rate = 0.1});
    ExponentialMovingAverage average(model, 0.8);
    for (int step = 0; step < 20; ++step) {
      model.set_gradient(test::rounded<acc_t<T>>(wave(2 + 0.9 * step, 4)));
      optimizer.step();
      average.update();
    }
    const auto of_model = average.model();
    BOOST_TEST(average.state_dict().size() == 1u);
    BOOST_TEST(average.state_dict()[0].name == "weight.average");
    BOOST_TEST(!of_model.weight.has_grad());
    check_near(of_model.weight.value(), golden, tolerance);
    const auto trained = test::to_values(model.weight.value());
    {
      const auto averages = average.in_place();
      check_near(model.weight.value(), golden, tolerance);
    }
    check_near(model.weight.value(), trained, 0);
  };
  check(double(), 1e-14);
  check(float(), 3e-7);
  check(bfloat16(), 0.02);
}

BOOST_AUTO_TEST_CASE(muon_goes_by_names_unless_it_is_told) {
  cria::nn::TransformerDecoderBlock<float> block(4, 2);
  const auto names = [](const auto& optimizer) {
    std::string all;
    for (const auto& tensor : optimizer.state_dict()) all += tensor.name + " ";
    return all;
  };
  BOOST_TEST(names(Muon(block)).find("multihead_attn.in_proj_weight.momentum") != std::string::npos);
  const auto no_attention = [](std::string_view name, const Shape& shape) {
    return is_hidden_matrix(name, shape) && name.find("attn") == std::string_view::npos;
  };
  BOOST_TEST(names(Muon(block, {.orthogonalized = no_attention}))
                 .find("multihead_attn.in_proj_weight.first_moment") != std::string::npos);
  BOOST_TEST(!is_hidden_matrix("model.embed_tokens.weight", {8, 4}));
  BOOST_TEST(!is_hidden_matrix("lm_head.weight", {8, 4}));
  BOOST_TEST(!is_hidden_matrix("norm.weight", {8}));
}

BOOST_AUTO_TEST_CASE(matrices_become_orthogonal) {
  const auto singular_values_squared = [](const Tensor<double>& x) {  // trace of x x^T, over the smaller side
    return sum(square(x)).item() / static_cast<double>(std::min(x.dim(1), x.dim(2)));
  };
  for (const Shape& shape : {Shape{2, 3, 7}, Shape{1, 7, 3}, Shape{1, 4, 4}, Shape{1, 1, 5}}) {
    const auto x = Tensor<double>::from(shape, test::normals(shape.size(), 7));
    const auto y = orthogonalize(x, 5);
    BOOST_TEST(y.shape() == shape);
    const auto rows = shape.dim(1) <= shape.dim(2) ? y : transpose(y, 1, 2);
    const auto products = matmul(rows, transpose(rows, 1, 2));  // nearly the unit matrix
    for (std::int64_t s = 0; s < shape.dim(0); ++s) {
      for (std::int64_t i = 0; i < rows.dim(1); ++i) {
        for (std::int64_t j = 0; j < rows.dim(1); ++j) {
          BOOST_TEST(std::abs(products.at({s, i, j}) - (i == j ? 1.0 : 0.0)) < 0.55);
        }
      }
    }
    BOOST_TEST(singular_values_squared(y) > 0.45 * static_cast<double>(shape.dim(0)));
  }
  // Newton and Schulz in bfloat16 come as close.
  const auto x = Tensor<float>::from({1, 5, 8}, test::rounded<float>(test::normals(40, 3)));
  const auto exact = orthogonalize(x, 5).to_vector(),
             rounded = cast<float>(orthogonalize(cast<bfloat16>(x), 5)).to_vector();
  for (std::size_t i = 0; i < exact.size(); ++i) BOOST_TEST(std::abs(exact[i] - rounded[i]) < 0.05f);
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
  BOOST_TEST((names(rmsprop) == std::vector<std::string>{"weight.square_average", "weight.momentum"}));
  BOOST_TEST((names(adafactor) == std::vector<std::string>{"weight.row_variance", "weight.column_variance"}));
  BOOST_TEST((names(muon) == std::vector<std::string>{"weight.momentum"}));
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
  ThreeShapes<float> model;
  Lion optimizer(model);
  const auto step = [&] { return test::error_message<AutogradError>([&] { optimizer.step(); }); };
  BOOST_TEST(step() ==
             "Lion: no parameter has a gradient; backward(loss) comes before each step, of a loss that this "
             "model computed");
  backward(sum(model.wide));
  BOOST_TEST(step() ==
             "Lion: the parameter 'tall' got no gradient; every parameter must take part in the loss, unless "
             "LionOptions::missing_gradient is MissingGradient::skip");
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
  BOOST_TEST(message([](auto& model) { SGD(model, {.momentum = 1}); }) ==
             "SGD: momentum is 1.000000; it must be in [0, 1)");
  BOOST_TEST(message([](auto& model) { SGD(model, {.nesterov = true}); }) ==
             "SGD: momentum is 0.000000; with nesterov it must be positive");
  BOOST_TEST(message([](auto& model) { Adam(model, {.beta2 = 1}); }) ==
             "Adam: beta2 is 1.000000; it must be in [0, 1)");
  BOOST_TEST(message([](auto& model) { RMSprop(model, {.alpha = 1}); }) ==
             "RMSprop: alpha is 1.000000; it must be in [0, 1)");
  BOOST_TEST(message([](auto& model) { Adafactor(model, {.beta2_decay = 1}); }) ==
             "Adafactor: beta2_decay is 1.000000; it must be 0 or less");
  BOOST_TEST(message([](auto& model) { Adafactor(model, {.clip_threshold = 0}); }) ==
             "Adafactor: clip_threshold is 0.000000; it must be positive");
  BOOST_TEST(message([](auto& model) { Muon(model, {.momentum = 1}); }) ==
             "Muon: momentum is 1.000000; it must be in [0, 1)");
  BOOST_TEST(message([](auto& model) { Muon(model, {.newton_schulz_steps = 0}); }) ==
             "Muon: newton_schulz_steps is 0; it must be at least 1");
  ThreeShapes<float> three;
  BOOST_TEST(test::error_message<ConfigError>([&] {
               Muon(three, {.orthogonalized = [](std::string_view, const Shape&) { return true; }});
             }) ==
             "Muon: 'vector' is [4]; the option `orthogonalized` may name parameters of two dimensions or "
             "more only");
  BOOST_TEST(test::error_message<ConfigError>([&] { ExponentialMovingAverage(three, 1.0); }) ==
             "ExponentialMovingAverage: decay is 1.000000; it must be in [0, 1)");
}

BOOST_AUTO_TEST_CASE(options_that_are_functions_must_not_be_empty) {
  const auto check = []<class Options>(const std::string& name, const Options&, auto make) {
    const auto message = [&](auto function) {
      Options options;
      options.*function = nullptr;
      Weights<float> model(2);
      return test::error_message<ConfigError>([&] { make(model, options); });
    };
    BOOST_TEST(message(&Options::weight_decay_factor) ==
               name +
                   ": weight_decay_factor is empty; it must be a function of a parameter's name and shape");
    BOOST_TEST(message(&Options::learning_rate_factor) ==
               name +
                   ": learning_rate_factor is empty; it must be a function of a parameter's name and shape");
  };
  check("AdamW", AdamWOptions{}, [](auto& model, const auto& options) { AdamW(model, options); });
  check("SGD", SGDOptions{}, [](auto& model, const auto& options) { SGD(model, options); });
  check("Lion", LionOptions{}, [](auto& model, const auto& options) { Lion(model, options); });
  check("Adam", AdamOptions{}, [](auto& model, const auto& options) { Adam(model, options); });
  check("RMSprop", RMSpropOptions{}, [](auto& model, const auto& options) { RMSprop(model, options); });
  check("Adafactor", AdafactorOptions{}, [](auto& model, const auto& options) { Adafactor(model, options); });
  check("Muon", MuonOptions{}, [](auto& model, const auto& options) { Muon(model, options); });
}

BOOST_AUTO_TEST_CASE(a_step_whose_numbers_cannot_be_changes_nothing) {
  Weights<float> model(2);
  SGD optimizer(model);
  model.set_gradient({1.0f, -2.0f});
  BOOST_TEST(test::error_message<ConfigError>([&] { optimizer.set_learning_rate(-1); }) ==
             "SGD: learning_rate is -1.000000; it must be a number from 0 on");
  BOOST_TEST(test::error_message<ConfigError>([&] { optimizer.set_steps(-1); }) ==
             "SGD: steps is -1; it must be at least 0");
  BOOST_TEST(test::error_message<ConfigError>([&] { optimizer.step({.loss_scale = 0}); }) ==
             "SGD: loss_scale is 0.000000; it must be positive");
  BOOST_TEST(test::error_message<ConfigError>([&] { optimizer.step({.max_norm = -1}); }) ==
             "SGD: max_norm is -1.000000; it must be 0 or more");
  BOOST_TEST(optimizer.learning_rate() == SGDOptions{}.learning_rate);
  BOOST_TEST(optimizer.steps() == 0);
  BOOST_TEST(model.weight.has_grad());
}

BOOST_AUTO_TEST_CASE(a_missing_gradient_may_count_as_zero) {
  const auto after_two_steps = [](MissingGradient missing, bool with_zeros) {
    Weights<float> model(2);
    SGD optimizer(model, {.learning_rate = 0.5, .momentum = 0.5, .missing_gradient = missing});
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
  SGD optimizer(model, {.learning_rate = 0.5,
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
  SGD optimizer(model, {.learning_rate = 0.1});
  backward(sum(model(Tensor<T>::full({2, 3}, static_cast<T>(1.0f)))));
  BOOST_TEST(cria::test::error_message<AutogradError>([&] { optimizer.step(); }) ==
             "SGD: a parameter of shape [1, 3] has a gradient and no module lists it; visit must list every "
             "field that has parameters, and one that is trained by hand is cleared (clear_grad) before the "
             "step");
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_field_that_visit_leaves_out_is_noticed_by_its_gradient) {
  Forgetful model;
  AdamW optimizer(model);
  const auto before = model.listed.value().to_vector();
  backward(sum(model.listed) + sum(model.forgotten));
  BOOST_TEST(
      cria::test::error_message<AutogradError>([&] { optimizer.step(); }) ==
      "AdamW: a parameter of shape [2, 3] has a gradient and no module lists it; visit must list every "
      "field that has parameters, and one that is trained by hand is cleared (clear_grad) before the step");
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

BOOST_AUTO_TEST_CASE(a_parameter_that_is_trained_by_hand_is_cleared_before_a_step) {
  Forgetful model;
  SGD optimizer(model, {.learning_rate = 0.5});
  Parameter<float> by_hand({2}, 1.0), probe({3}, 1.0);
  backward(sum(model.listed * by_hand) + sum(probe));
  const auto step = [&] { return cria::test::error_message<AutogradError>([&] { optimizer.step(); }); };
  BOOST_TEST(step() == step());  // it is refused as often as it is tried
  BOOST_TEST(step().starts_with("SGD: a parameter of shape "));
  probe.clear_grad();
  by_hand.clear_grad();
  BOOST_TEST(step() == "(nothing thrown)");
  BOOST_TEST((model.listed.value().to_vector() == std::vector<float>{0.5f, 0.5f}));

  backward(sum(model.listed) + sum(model.forgotten));  // which is noticed, whatever else has a gradient
  backward(sum(probe));
  probe.clear_grad();
  BOOST_TEST(step().starts_with("SGD: a parameter of shape [2, 3] has"));
}

BOOST_AUTO_TEST_CASE(a_model_that_was_not_initialised_is_refused_by_its_first_step) {
  const auto check = [&]<class T>(T one) {
    const cria::nn::LinearOptions options{.bias = true};
    cria::nn::Sequential model{cria::nn::Linear<T>(3, 4, options), cria::nn::Relu{},
                               cria::nn::Linear<T>(4, 2, options)};
    AdamW optimizer(model);
    const auto step = [&] {
      backward(sum(model(Tensor<T>::full({2, 3}, one))));
      return cria::test::error_message<ConfigError>([&] { optimizer.step(); });
    };
    BOOST_TEST(step() ==
               "AdamW: all matrices of the model are zero and so are their gradients, so that no step would "
               "change them; nn::initialize(model, rng) draws what training begins with");
    BOOST_TEST(optimizer.steps() == 0);
    cria::nn::fill(std::get<2>(model.modules).weight, 0.5);  // the first layer gets gradients
    BOOST_TEST(step() == "(nothing thrown)");
    cria::nn::fill(std::get<2>(model.modules).weight, 0);
    BOOST_TEST(step() == "(nothing thrown)");  // not the first
  };
  check(1.0f);
  check(static_cast<bfloat16>(1.0f));

  cria::nn::Linear<float> one_layer(3, 2);  // which learns from zeros
  SGD optimizer(one_layer, {.learning_rate = 0.1});
  backward(sum(one_layer(Tensor<float>::full({2, 3}, 1.0f))));
  optimizer.step();
  BOOST_TEST(one_layer.weight.value().at({0, 0}) < 0);
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
