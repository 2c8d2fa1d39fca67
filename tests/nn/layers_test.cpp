#include <boost/test/unit_test.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "cria/cria.hpp"
#include "support/compare.hpp"
#include "support/error_message.hpp"

BOOST_AUTO_TEST_SUITE(nn)
BOOST_AUTO_TEST_SUITE(layers)

namespace {

using namespace cria;
using cria::test::check_close;
using cria::test::error_message;
using cria::test::to_values;

/// Numbers in [-1, 1), the same for the same shape.
Tensor<float> numbers(const Shape& shape, std::uint64_t seed = 1) {
  Rng rng(seed);
  std::vector<float> values;
  for (std::int64_t i = 0; i < shape.size(); ++i) values.push_back(static_cast<float>(2 * rng.uniform() - 1));
  return Tensor<float>::from(shape, values);
}

/// The names and shapes of what a module saves.
std::string contents(const auto& module) {
  std::string text;
  for (const auto& value : cria::nn::state_dict(module))
    text += value.name + " " + to_string(value.shape) + "; ";
  return text;
}

}  // namespace

BOOST_AUTO_TEST_CASE(linear_has_a_bias_if_it_is_asked_for) {
  BOOST_TEST(contents(cria::nn::Linear<float>(3, 2)) == "weight [2, 3]; ");
  cria::nn::Linear<float> layer(3, 2, {.bias = true});
  BOOST_TEST(contents(layer) == "weight [2, 3]; bias [2]; ");
  layer.bias->value().assign(std::vector<float>{5, 6});
  BOOST_TEST((layer(Tensor<float>::zeros({1, 3})).to_vector() == std::vector<float>{5, 6}));
}

BOOST_AUTO_TEST_CASE(convolutions_are_the_functions) {
  cria::nn::Conv2d<float> of_images(4, 6, {3, 2}, {.stride = 2, .padding = 1, .groups = 2});
  BOOST_TEST(contents(of_images) == "weight [6, 2, 3, 2]; bias [6]; ");
  cria::nn::initialize(of_images, Rng(1));
  of_images.bias->value().assign(numbers({6}).to_vector());
  const auto images = numbers({2, 4, 7, 8});
  BOOST_TEST((of_images(images).to_vector() ==
              conv2d(images, of_images.weight, *of_images.bias, {.stride = 2, .padding = 1, .groups = 2})
                  .to_vector()));
  const cria::nn::Conv2d<float> without(4, 6, 3, {.bias = false});
  BOOST_TEST(contents(without) == "weight [6, 4, 3, 3]; ");
  BOOST_TEST(without(images).shape() == (Shape{2, 6, 5, 6}));

  cria::nn::Conv1d<float> of_signals(4, 6, 3, {.padding = 2, .dilation = 2});
  BOOST_TEST(contents(of_signals) == "weight [6, 4, 3]; bias [6]; ");
  cria::nn::initialize(of_signals, Rng(1));
  const auto signals = numbers({2, 4, 9});
  BOOST_TEST((of_signals(signals).to_vector() ==
              conv1d(signals, of_signals.weight, {.padding = 2, .dilation = 2}).to_vector()));
}

BOOST_AUTO_TEST_CASE(groups_must_divide_the_channels) {
  BOOST_TEST(error_message<ConfigError>([] { cria::nn::Conv2d<float>(4, 6, 3, {.groups = 3}); }) ==
             "Conv2d: groups is 3; it must be a divisor of the channels, 4");
  BOOST_TEST(error_message<ConfigError>([] { cria::nn::Conv1d<float>(4, 6, 3, {.groups = 0}); }) ==
             "Conv1d: groups is 0; it must be a divisor of the channels, 4");
  BOOST_TEST(error_message<ConfigError>([] { cria::nn::GroupNorm<float>(3, 4); }) ==
             "GroupNorm: groups is 3; it must be a divisor of the channels, 4");
}

// A result of a kernel [out, in, ...] sums up in * ... numbers, of a matrix [out, in] in.
BOOST_AUTO_TEST_CASE(results_have_the_variance_of_their_inputs) {
  const auto check = [](auto layer) {
    cria::nn::initialize(layer, Rng(3));
    double squares = 0;
    for (const double w : to_values(layer.weight.value())) squares += w * w;
    const Shape& shape = layer.weight.shape();
    const auto sums = static_cast<double>(shape.size() / shape.dim(0));
    BOOST_TEST(squares / static_cast<double>(shape.size()) * sums == 1.0, boost::test_tools::tolerance(0.1));
  };
  check(cria::nn::Linear<float>(64, 64));
  check(cria::nn::Conv2d<float>(16, 32, 3));
  check(cria::nn::Conv1d<float>(32, 64, 2));
}

BOOST_AUTO_TEST_CASE(norms_begin_as_the_functions_with_weight_1_and_bias_0) {
  const auto x = numbers({2, 4, 3, 5});
  cria::nn::LayerNorm<float> over_rows(5), over_planes(Shape{3, 5}, 1e-3);
  BOOST_TEST(contents(over_planes) == "weight [3, 5]; bias [3, 5]; ");
  const auto ones = [](const Shape& shape) { return Tensor<float>::full(shape, 1); };
  const auto zeros = [](const Shape& shape) { return Tensor<float>::zeros(shape); };
  BOOST_TEST((over_rows(x).to_vector() == layer_norm(x, ones({5}), zeros({5})).to_vector()));
  BOOST_TEST((over_planes(x).to_vector() == layer_norm(x, ones({3, 5}), zeros({3, 5}), 1e-3).to_vector()));
  const cria::nn::GroupNorm<float> of_groups(2, 4);
  BOOST_TEST((of_groups(x).to_vector() == group_norm(x, 2, ones({4}), zeros({4})).to_vector()));
  cria::nn::initialize(over_rows, Rng(1));  // which brings back what they begin as
  BOOST_TEST((over_rows.weight.value().to_vector() == std::vector<float>(5, 1.0f)));
}

BOOST_AUTO_TEST_CASE(batches_are_normalised_by_their_moments_in_training_and_by_the_running_ones_after_it) {
  cria::nn::BatchNorm2d<float> layer(2, {.momentum = 0.5});
  BOOST_TEST(contents(layer) == "weight [2]; bias [2]; running_mean [2]; running_var [2]; ");
  const auto x = Tensor<float>::from({2, 2, 1, 2}, {1, 3, 10, 10, 5, 7, 10, 14});
  // Channel 0: mean 4, variance 5 (of the sample, 20 / 3 estimated); channel 1: 11, 3 (4).
  const auto y = to_values(layer(x));
  const double a = std::sqrt(5 + 1e-5), b = std::sqrt(3 + 1e-5);
  check_close("in training", y, {-3 / a, -1 / a, -1 / b, -1 / b, 1 / a, 3 / a, -1 / b, 3 / b}, 1e-5);
  check_close("running mean", to_values(layer.running_mean.value()), {2, 5.5}, 1e-6);
  check_close("running variance", to_values(layer.running_variance.value()),
              {0.5 + 0.5 * 20 / 3, 0.5 + 0.5 * 4}, 1e-6);
  const NoGrad guard;
  const double c = std::sqrt(0.5 + 10.0 / 3 + 1e-5), d = std::sqrt(2.5 + 1e-5);
  const test::Values by_running{-1 / c, 1 / c, 4.5 / d, 4.5 / d, 3 / c, 5 / c, 4.5 / d, 8.5 / d};
  check_close("in evaluation", to_values(layer(x)), by_running, 1e-5);
  BOOST_TEST(layer.running_mean.value().to_vector()[0] == 2.0f);  // which changes nothing
}

BOOST_AUTO_TEST_CASE(batches_of_other_channels_are_named) {
  const cria::nn::BatchNorm<float> layer(3);
  const auto message = [&](const Shape& shape) {
    return error_message<ShapeError>([&] { layer(Tensor<float>::zeros(shape)); });
  };
  BOOST_TEST(message({1, 3}) ==
             "batch_norm: x is [1, 3]; more than 1 elements are needed for each of the result");
  const NoGrad guard;  // evaluation, in which a batch of one is fine
  BOOST_TEST(message({1, 3}) == "(nothing thrown)");
  BOOST_TEST(message({7, 3, 2, 2}) == "(nothing thrown)");
  BOOST_TEST(
      message({7, 4}) ==
      "batch_norm: dimensions differ: x is [7, 4], weight is [3]; x.dim(1) = 4 must equal weight.dim(0) = 3");
  BOOST_TEST(message({3}) == "batch_norm: x is [3]; it must have at least 2 dimensions");
}

BOOST_AUTO_TEST_CASE(a_network_of_layers_learns) {
  // Whether the bright row of an image of 6 x 6 is in its upper or in its lower half.
  std::vector<float> pixels;
  std::vector<std::int32_t> classes;
  for (int n = 0; n < 12; ++n) {
    const int bright = n % 6;
    for (int i = 0; i < 36; ++i) pixels.push_back(i / 6 == bright ? 1.0f : 0.0f);
    classes.push_back(bright < 3 ? 0 : 1);
  }
  const auto x = Tensor<float>::from({12, 1, 6, 6}, pixels);
  const auto y = Tensor<std::int32_t>::from({12}, classes);
  cria::nn::Sequential model{cria::nn::Conv2d<float>(1, 4, 3, {.padding = 1}),
                             cria::nn::BatchNorm2d<float>(4),
                             cria::nn::Relu{},
                             cria::nn::MaxPool2d{{1, 6}},
                             cria::nn::Flatten{},
                             [](const Tensor<float>& t) { return t * 2.0f; },
                             cria::nn::Linear<float>(24, 2, {.bias = true})};
  BOOST_TEST(contents(model) ==
             "0.weight [4, 1, 3, 3]; 0.bias [4]; 1.weight [4]; 1.bias [4]; 1.running_mean [4]; 1.running_var "
             "[4]; 6.weight [2, 24]; 6.bias [2]; ");
  cria::nn::initialize(model, Rng(1));
  AdamW optimizer(model, {.learning_rate = 0.02, .weight_decay = 0});
  for (int step = 0; step < 40; ++step) {
    backward(cross_entropy(model(x), y));
    optimizer.step();
  }
  const NoGrad guard;
  BOOST_TEST((argmax(model(x), 1).to_vector() == classes));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
