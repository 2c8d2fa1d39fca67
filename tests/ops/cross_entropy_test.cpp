#include "cria/ops/cross_entropy.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "cria/ops/linear.hpp"
#include "support/error_message.hpp"
#include "support/memory.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(cross_entropy)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;

/// Targets of which every third is ignored.
Tensor<std::int32_t> some_ignored(const Shape& shape, std::int64_t classes) {
  auto targets = cria::test::indices(shape, classes).to_vector();
  for (std::size_t i = 2; i < targets.size(); i += 3) targets[i] = -1;
  return Tensor<std::int32_t>::from(shape, targets);
}

double reference_loss(const Values& logits, std::int64_t classes) {
  const auto width = static_cast<std::size_t>(classes);
  const auto rows = static_cast<std::int64_t>(logits.size() / width);
  const auto targets = some_ignored({rows}, classes).to_vector();
  double loss = 0, count = 0;
  for (std::size_t row = 0; row < targets.size(); ++row) {
    if (targets[row] == -1) continue;
    double sum = 0;
    for (std::size_t j = 0; j < width; ++j) sum += std::exp(logits[row * width + j]);
    loss += std::log(sum) - logits[row * width + static_cast<std::size_t>(targets[row])];
    ++count;
  }
  return loss / count;
}

struct CrossEntropy {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{{1}}, {{1, 5}}, {{2, 3, 7}}, {{21, 67}}}; }
  static constexpr bool infinities_are_exact = false;
  static std::int64_t terms(const Shapes& shapes) { return shapes[0].dim(-1); }
  template <class T>
  static Tensor<acc_t<T>> run(const Tensor<T>& logits) {
    return cria::cross_entropy(logits, some_ignored(logits.shape().leading(), logits.dim(-1)), -1);
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    return {reference_loss(inputs[0], shapes[0].dim(-1))};
  }
};

struct LinearCrossEntropy {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Parameter<T>>;
  static std::vector<Shapes> shapes() { return {{{1}, {1, 1}}, {{2, 3, 5}, {7, 5}}, {{300, 3}, {9, 3}}}; }
  static constexpr bool infinities_are_exact = false;
  static std::int64_t terms(const Shapes& shapes) { return shapes[1].size() + shapes[0].size(); }
  template <class T>
  static Tensor<acc_t<T>> run(const Tensor<T>& x, const Parameter<T>& weight) {
    return cria::linear_cross_entropy(x, weight, some_ignored(x.shape().leading(), weight.shape().dim(0)),
                                      -1);
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const auto dim = static_cast<std::size_t>(shapes[1].dim(1));
    Values logits;
    for (std::size_t x = 0; x < inputs[0].size(); x += dim) {
      for (std::size_t w = 0; w < inputs[1].size(); w += dim) {
        double sum = 0;
        for (std::size_t d = 0; d < dim; ++d) sum += inputs[0][x + d] * inputs[1][w + d];
        logits.push_back(sum);
      }
    }
    return {reference_loss(logits, shapes[1].dim(0))};
  }
};

Parameter<double> weight_of(const Shape& shape) {
  Parameter<double> weight(shape);
  weight.value().assign(cria::test::normals(shape.size(), 2));
  return weight;
}

}  // namespace

BOOST_AUTO_TEST_CASE(targets_must_be_classes) {
  const auto logits = Tensor<float>::zeros({2, 5});
  const auto message = [&](std::int32_t target) {
    const auto targets = Tensor<std::int32_t>::from({2}, {4, target});
    return error_message<ShapeError>([&] {
      cria::cross_entropy(logits, targets, -1);
      DefaultBackend::synchronize();
    });
  };
  BOOST_TEST(message(-1) == "(nothing thrown)");
  BOOST_TEST(
      message(5) ==
      "cross_entropy: target 5 at position 1 is not a class; it must be in [0, 5) or -1 to be ignored");
  BOOST_TEST(
      message(-2) ==
      "cross_entropy: target -2 at position 1 is not a class; it must be in [0, 5) or -1 to be ignored");
  BOOST_TEST(error_message<ShapeError>([] {
               cria::linear_cross_entropy(Tensor<double>::zeros({1, 2}), weight_of({5, 2}),
                                          Tensor<std::int32_t>::from({1}, {5}));
               DefaultBackend::synchronize();
             }) ==
             "linear_cross_entropy: target 5 at position 0 is not a class; it must be in [0, 5) or -100 to "
             "be ignored");
}

BOOST_AUTO_TEST_CASE(shapes_must_fit) {
  const auto targets = cria::test::indices({3}, 2);
  BOOST_TEST(error_message<ShapeError>([&] {
               cria::cross_entropy(Tensor<float>::zeros({2, 5}), targets);
             }) ==
             "cross_entropy: shapes differ: logits without its last dimension is [2], targets is [3]; they "
             "must be equal");
  BOOST_TEST(error_message<ShapeError>([&] { cria::cross_entropy(Tensor<float>::scalar(0), targets); }) ==
             "cross_entropy: logits is []; it must have at least 1 dimension");
  const auto message = [&](const Shape& x, const Shape& weight) {
    return error_message<ShapeError>(
        [&] { cria::linear_cross_entropy(Tensor<double>::zeros(x), weight_of(weight), targets); });
  };
  BOOST_TEST(message({2, 4}, {5, 4}) ==
             "linear_cross_entropy: shapes differ: x without its last dimension is [2], targets is [3]; "
             "they must be equal");
  BOOST_TEST(message({3, 4}, {4}) == "linear_cross_entropy: weight is [4]; it must have 2 dimensions");
  BOOST_TEST(message({3, 4}, {4, 5}) ==
             "linear_cross_entropy: dimensions differ: x is [3, 4], weight is [4, 5]; "
             "x.dim(-1) = 4 must equal weight.dim(-1) = 5");
}

BOOST_AUTO_TEST_CASE(the_loss_is_zero_if_every_target_is_ignored) {
  auto logits = Tensor<float>::full({2, 3}, 1.0f).set_requires_grad();
  const auto loss = cria::cross_entropy(logits, Tensor<std::int32_t>::full({2}, ignored_target));
  BOOST_TEST(loss.item() == 0.0f);
  backward(loss);
  for (const double gradient : cria::test::to_values(logits.grad())) BOOST_TEST(gradient == 0.0);

  auto x = Tensor<double>::full({2, 3}, 1.0).set_requires_grad();
  const auto weight = weight_of({4, 3});
  const auto fused = cria::linear_cross_entropy(x, weight, Tensor<std::int32_t>::full({2}, ignored_target));
  BOOST_TEST(fused.item() == 0.0);
  backward(fused);
  for (const double gradient : cria::test::to_values(x.grad())) BOOST_TEST(gradient == 0.0);
  for (const double gradient : cria::test::to_values(weight.grad())) BOOST_TEST(gradient == 0.0);
}

BOOST_AUTO_TEST_CASE(a_class_may_be_ignored) {
  const auto targets = Tensor<std::int32_t>::from({3}, {2, 0, 2});
  auto logits = Tensor<float>::from({3, 3}, {1, 2, 3, 4, 6, 5, 9, 8, 7});
  logits.set_requires_grad();
  const auto loss = cria::cross_entropy(logits, targets, 2);
  BOOST_TEST(loss.item() ==
             cria::cross_entropy(Tensor<float>::from({1, 3}, {4, 6, 5}), Tensor<std::int32_t>::from({1}, {0}))
                 .item());
  backward(loss);
  const auto gradient = logits.grad().to_vector();
  for (const std::size_t i : {0u, 1u, 2u, 6u, 7u, 8u}) BOOST_TEST(gradient[i] == 0.0f);
  for (const std::size_t i : {3u, 4u, 5u}) BOOST_TEST(gradient[i] != 0.0f);
}

BOOST_AUTO_TEST_CASE(a_class_may_be_ignored_in_linear_cross_entropy) {
  const auto gradients = [](const std::vector<std::int32_t>& targets, std::int32_t ignore) {
    auto x = Tensor<float>::from({3, 2}, {1, 2, 3, 4, 6, 5}).set_requires_grad();
    Parameter<float> weight({3, 2});
    weight.value().assign(std::vector<float>{1, -1, 0, 2, 1, 1});
    const auto loss = cria::linear_cross_entropy(x, weight, Tensor<std::int32_t>::from({3}, targets), ignore);
    backward(loss);
    return std::tuple(loss.item(), x.grad().to_vector(), weight.grad().to_vector());
  };
  BOOST_TEST((gradients({2, 0, 2}, 2) == gradients({-1, 0, -1}, -1)));
}

BOOST_AUTO_TEST_CASE(without_rows_the_gradient_of_the_weight_is_zero) {
  const Parameter<float> weight = cria::test::zeros({3, 2});
  auto x = Tensor<float>::zeros({0, 2}).set_requires_grad();
  backward(cria::linear_cross_entropy(x, weight, Tensor<std::int32_t>::zeros({0})));
  for (const float gradient : weight.grad().to_vector()) BOOST_TEST(gradient == 0.0f);
}

BOOST_AUTO_TEST_CASE(large_logits_do_not_overflow) {
  const auto loss =
      cria::cross_entropy(Tensor<float>::from({1, 2}, {5000, 5000}), Tensor<std::int32_t>::from({1}, {1}));
  BOOST_TEST(std::abs(loss.item() - 0.693147f) < 1e-3f);
}

BOOST_AUTO_TEST_CASE(linear_cross_entropy_equals_its_parts) {
  // 600 rows: more than two chunks.
  const auto values = cria::test::normals(600 * 4, 1);
  const auto targets = some_ignored({600}, 11);
  auto x = Tensor<double>::from({600, 4}, values).set_requires_grad();
  auto fused_x = Tensor<double>::from({600, 4}, values).set_requires_grad();
  const auto weight = weight_of({11, 4}), fused_weight = weight_of({11, 4});
  const auto loss = cria::cross_entropy(cria::linear(x, weight), targets, -1);
  const auto fused = cria::linear_cross_entropy(fused_x, fused_weight, targets, -1);
  BOOST_TEST(std::abs(fused.item() - loss.item()) < 1e-13);
  backward(loss, 0.25);
  backward(fused, 0.25);
  cria::test::check_close("gradient of x", cria::test::to_values(fused_x.grad()),
                          cria::test::to_values(x.grad()), 1e-13);
  cria::test::check_close("gradient of weight", cria::test::to_values(fused_weight.grad()),
                          cria::test::to_values(weight.grad()), 1e-13);
}

BOOST_AUTO_TEST_CASE(linear_cross_entropy_never_holds_all_logits) {
  constexpr std::int64_t rows = 4096, vocabulary = 512;
  auto x = Tensor<double>::zeros({rows, 2}).set_requires_grad();
  const auto weight = weight_of({vocabulary, 2});
  const auto targets = cria::test::indices({rows}, vocabulary);
  const std::size_t all_logits = rows * vocabulary * sizeof(double);
  const std::size_t fused =
      cria::test::peak_bytes([&] { backward(cria::linear_cross_entropy(x, weight, targets)); });
  const std::size_t parts =
      cria::test::peak_bytes([&] { backward(cria::cross_entropy(cria::linear(x, weight), targets)); });
  BOOST_TEST(fused < all_logits / 4);
  BOOST_TEST(parts >= all_logits);
}

BOOST_AUTO_TEST_CASE(nan_among_infinities_gives_nan) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), low = -std::numeric_limits<float>::infinity();
  for (const std::size_t at : {0u, 1u, 699u}) {
    std::vector<float> logits(700, low);
    logits[at] = nan;
    const auto x = Tensor<float>::from({1, 700}, logits);
    BOOST_TEST(std::isnan(cria::cross_entropy(x, Tensor<std::int32_t>::full({1}, 5)).item()));
  }
}

CRIA_TEST_OPERATION(of_logits, CrossEntropy)
CRIA_TEST_OPERATION(of_a_linear_layer, LinearCrossEntropy)

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
