#include "cria/ops/normalization.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <tuple>
#include <vector>

#include "cria/ops/rms_norm.hpp"
#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(normalization)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;

/// (x - mean) / sqrt(variance + eps) * weight + bias, where elements of the same group(i) have the moments in
/// common and element i has weight and bias number affine(i).
template <class Group, class Affine>
Values normalized(const std::vector<Values>& inputs, double eps, Group group, Affine affine) {
  const auto size = static_cast<std::int64_t>(inputs[0].size());
  std::vector<Values> groups;
  for (std::int64_t i = 0; i < size; ++i) {
    groups.resize(std::max(groups.size(), static_cast<std::size_t>(group(i)) + 1));
    groups[static_cast<std::size_t>(group(i))].push_back(inputs[0][static_cast<std::size_t>(i)]);
  }
  Values y;
  for (std::int64_t i = 0; i < size; ++i) {
    const Values& own = groups[static_cast<std::size_t>(group(i))];
    double mean = 0, variance = 0;
    for (const double x : own) mean += x / static_cast<double>(own.size());
    for (const double x : own) variance += (x - mean) * (x - mean) / static_cast<double>(own.size());
    const auto k = static_cast<std::size_t>(affine(i));
    y.push_back((inputs[0][static_cast<std::size_t>(i)] - mean) / std::sqrt(variance + eps) * inputs[1][k] +
                inputs[2][k]);
  }
  return y;
}

struct Affine {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Tensor<T>, Tensor<T>>;
  static std::int64_t terms(const Shapes& shapes) { return shapes[0].size(); }
};
struct Layer : Affine {
  static std::vector<Shapes> shapes() {
    return {
        {{3, 5}, {5}, {5}}, {{2, 3, 4}, {3, 4}, {3, 4}}, {{3, 4, 9}, {4, 9}, {4, 9}}, {{2, 70}, {70}, {70}}};
  }
  static auto run(const auto& x, const auto& weight, const auto& bias) {
    return cria::layer_norm(x, weight, bias, 0.1);
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const std::int64_t n = shapes[1].size();
    return normalized(
        inputs, 0.1, [n](std::int64_t i) { return i / n; }, [n](std::int64_t i) { return i % n; });
  }
};
struct Groups : Affine {
  static std::vector<Shapes> shapes() { return {{{2, 4, 3}, {4}, {4}}, {{1, 6, 2, 3}, {6}, {6}}}; }
  static auto run(const auto& x, const auto& weight, const auto& bias) {
    return cria::group_norm(x, 2, weight, bias, 0.1);
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const std::int64_t channels = shapes[1].size(), each = shapes[0].product(2, shapes[0].rank());
    return normalized(
        inputs, 0.1, [=](std::int64_t i) { return i / (each * channels / 2); },
        [=](std::int64_t i) { return i / each % channels; });
  }
};
struct Batch : Affine {
  static std::vector<Shapes> shapes() { return {{{5, 3}, {3}, {3}}, {{2, 3, 2, 3}, {3}, {3}}}; }
  template <class T>
  static Tensor<T> run(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<T>& bias) {
    Buffer<acc_t<T>> mean({3}), variance({3}, 1);
    return cria::batch_norm(x, weight, bias, mean, variance, {.eps = 0.1});
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const std::int64_t each = shapes[0].product(2, shapes[0].rank());
    const auto channel = [each](std::int64_t i) { return i / each % 3; };
    return normalized(inputs, 0.1, channel, channel);
  }
};
struct BatchAtRest : Affine {
  static std::vector<Shapes> shapes() { return {{{2, 3, 2, 3}, {3}, {3}}}; }
  template <class T>
  static Tensor<T> run(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<T>& bias) {
    Buffer<acc_t<T>> mean({3}, 0.5), variance({3}, 2);
    return cria::batch_norm(x, weight, bias, mean, variance, {.training = false, .eps = 0});
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes&) {
    Values y;
    for (std::size_t i = 0; i < inputs[0].size(); ++i) {
      const std::size_t channel = i / 6 % 3;
      y.push_back((inputs[0][i] - 0.5) / std::sqrt(2.0) * inputs[1][channel] + inputs[2][channel]);
    }
    return y;
  }
};

}  // namespace

CRIA_TEST_OPERATION(layer, Layer)
CRIA_TEST_COMPOSED(groups, Groups)
CRIA_TEST_COMPOSED(batch, Batch)
CRIA_TEST_COMPOSED(batch_at_rest, BatchAtRest)

BOOST_AUTO_TEST_CASE(running_moments_follow_those_of_batches) {
  const auto x = Tensor<float>::from({4, 1}, {1, 2, 3, 6});  // mean 3, variance 14 / 4, and estimated 14 / 3
  Buffer<float> mean({1}, 1.0f), variance({1}, 2.0f);
  const auto one = Tensor<float>::full({1}, 1.0f);
  cria::batch_norm(x, one, one, mean, variance, {.momentum = 0.5});
  BOOST_TEST(mean.value().item() == 2.0f);
  BOOST_TEST(std::abs(variance.value().item() - (1.0f + 7.0f / 3.0f)) < 1e-6f);
  cria::batch_norm(x, one, one, mean, variance, {.training = false});
  BOOST_TEST(mean.value().item() == 2.0f);
}

BOOST_AUTO_TEST_CASE(parameters_are_weights_and_biases) {
  const Parameter<float> weight({2}, 1.0), bias({2});
  const auto x = Tensor<float>::from({1, 2}, {1, 3});
  backward(sum(cria::layer_norm(x, weight, bias)));
  BOOST_TEST((bias.grad().to_vector() == std::vector<float>{1, 1}));
  cria::test::check_close("weight", cria::test::to_values(weight.grad()), {-1, 1}, 1e-5);
}

BOOST_AUTO_TEST_CASE(shapes_that_do_not_fit_are_named) {
  const auto x = Tensor<float>::zeros({2, 6}), w = Tensor<float>::zeros({3}), six = Tensor<float>::zeros({6});
  const auto message = [](auto run) { return error_message<ShapeError>(run); };
  BOOST_TEST(message([&] { cria::layer_norm(x, w, w); }) ==
             "layer_norm: x is [2, 6] and weight is [3]; weight must have the last dimensions of x");
  BOOST_TEST(message([&] { cria::layer_norm(x, six, w); }) ==
             "layer_norm: shapes differ: weight is [6], bias is [3]; they must be equal");
  BOOST_TEST(message([&] { cria::group_norm(x, 4, six, six); }) ==
             "group_norm: x is [2, 6]; x.dim(1) = 6 must be a multiple of groups = 4");
  BOOST_TEST(
      message([&] { cria::group_norm(x, 2, w, six); }) ==
      "group_norm: dimensions differ: x is [2, 6], weight is [3]; x.dim(1) = 6 must equal weight.dim(0) = 3");
  Buffer<float> mean({6}), variance({6});
  BOOST_TEST(message([&] {
               cria::batch_norm(Tensor<float>::zeros({1, 6}), six, six, mean, variance);
             }) == "batch_norm: x is [1, 6]; more than 1 elements are needed for each of the result");
  Buffer<float> matrix({6, 2});
  BOOST_TEST(message([&] { cria::batch_norm(x, six, six, mean, matrix); }) ==
             "batch_norm: running_variance is [6, 2]; it must have 1 dimension");
}

BOOST_AUTO_TEST_CASE(options_that_cannot_be_are_named) {
  const auto x = Tensor<float>::zeros({2, 6}), six = Tensor<float>::zeros({6});
  Buffer<float> mean({6}), variance({6});
  const auto message = [](auto run) { return error_message<ConfigError>(run); };
  BOOST_TEST(message([&] { cria::layer_norm(x, six, six, -1); }) ==
             "layer_norm: eps is -1.000000; it must be a number from 0 on");
  BOOST_TEST(message([&] { cria::group_norm(x, 2, six, six, std::nan("")); }) ==
             "group_norm: eps is nan; it must be a number from 0 on");
  BOOST_TEST(message([&] { cria::group_norm(x, 0, six, six); }) ==
             "group_norm: groups is 0; it must be at least 1");
  BOOST_TEST(message([&] { cria::rms_norm(x, six, -1); }) ==
             "rms_norm: eps is -1.000000; it must be a number from 0 on");
  for (const double momentum : {-0.1, 1.5, std::nan("")}) {
    BOOST_TEST(message([&] {
                 cria::batch_norm(x, six, six, mean, variance, {.momentum = momentum});
               }).ends_with("it must be in [0, 1]"));
  }
  BOOST_TEST((mean.value().to_vector() == std::vector<float>(6)));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
