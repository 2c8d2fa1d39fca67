#include "cria/ops/losses.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(losses)

namespace {

using namespace cria;
using cria::test::check_close;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::to_values;
using cria::test::Values;

/// A loss of two tensors, the mean of Loss::of(x, target).
template <class Loss>
struct OfElements {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{{3, 4}, {3, 4}}, {{70}, {70}}}; }
  static std::int64_t terms(const Shapes& shapes) { return shapes[0].size(); }
  static auto run(const auto& x, const auto& target) { return Loss::run(x, target); }
  static Values reference(const std::vector<Values>& inputs, const Shapes&) {
    double sum = 0;
    for (std::size_t i = 0; i < inputs[0].size(); ++i) sum += Loss::of(inputs[0][i], inputs[1][i]);
    return {sum / static_cast<double>(inputs[0].size())};
  }
};
struct Squared {
  static auto run(const auto& x, const auto& target) { return mse_loss(x, target); }
  static double of(double x, double target) { return (x - target) * (x - target); }
};
struct Absolute {
  static auto run(const auto& x, const auto& target) { return l1_loss(x, target); }
  static double of(double x, double target) { return std::abs(x - target); }
};
struct Huber {
  static auto run(const auto& x, const auto& target) { return huber_loss(x, target, {.delta = 0.5}); }
  static double of(double x, double target) {
    const double d = std::abs(x - target);
    return d < 0.5 ? d * d / 2 : 0.5 * (d - 0.25);
  }
};
struct Binary {
  static auto run(const auto& x, const auto& target) { return binary_cross_entropy_with_logits(x, target); }
  static double of(double x, double target) { return std::log1p(std::exp(x)) - x * target; }
};
struct Divergence : OfElements<Divergence> {
  static double input(double normal) { return 0.5 + std::abs(normal); }
  static auto run(const auto& x, const auto& target) { return kl_div(x, target); }
  static double of(double x, double target) { return target * (std::log(target) - x); }
};
struct Cosine {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{{3, 4}, {3, 4}}, {{2, 1, 5}, {1, 3, 5}}}; }
  static std::int64_t terms(const Shapes& shapes) { return shapes[0].size(); }
  static auto run(const auto& a, const auto& b) { return cosine_similarity(a, b); }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const Shape whole = broadcast_shape("reference", std::array{shapes[0], shapes[1]});
    Values y;
    const std::int64_t n = whole.dim(-1);
    for (std::int64_t row = 0; row < whole.size() / n; ++row) {
      double ab = 0, aa = 0, bb = 0;
      for (std::int64_t i = row * n; i < row * n + n; ++i) {
        const double a = inputs[0][cria::test::broadcast_index(shapes[0], whole, i)];
        const double b = inputs[1][cria::test::broadcast_index(shapes[1], whole, i)];
        ab += a * b;
        aa += a * a;
        bb += b * b;
      }
      y.push_back(ab / std::sqrt(aa * bb));
    }
    return y;
  }
};
struct Smoothed {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{{4, 5}}}; }
  static std::int64_t terms(const Shapes& shapes) { return shapes[0].size(); }
  template <class T>
  static auto run(const Tensor<T>& logits) {
    const auto weight = Tensor<acc_t<T>>::from({5}, {1, 2, 3, 4, 5});
    return cria::cross_entropy(logits, Tensor<std::int32_t>::from({4}, {1, -100, 4, 0}), weight,
                               {.label_smoothing = 0.1});
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes&) {
    const std::vector<int> targets{1, -1, 4, 0};
    double loss = 0, weights = 0;
    for (std::size_t row = 0; row < 4; ++row) {
      if (targets[row] < 0) continue;
      double sum = 0;
      for (std::size_t c = 0; c < 5; ++c) sum += std::exp(inputs[0][row * 5 + c]);
      for (std::size_t c = 0; c < 5; ++c) {
        const double of_class = static_cast<double>(c + 1) * (std::log(sum) - inputs[0][row * 5 + c]);
        loss += 0.1 / 5 * of_class + (static_cast<int>(c) == targets[row] ? 0.9 * of_class : 0.0);
      }
      weights += targets[row] + 1;
    }
    return {loss / weights};
  }
};

}  // namespace

CRIA_TEST_COMPOSED(squared, OfElements<Squared>)
CRIA_TEST_COMPOSED(absolute, OfElements<Absolute>)
CRIA_TEST_COMPOSED(huber, OfElements<Huber>)
CRIA_TEST_COMPOSED(binary, OfElements<Binary>)
CRIA_TEST_COMPOSED(divergence, Divergence)
CRIA_TEST_COMPOSED(cosine, Cosine)
CRIA_TEST_COMPOSED(smoothed, Smoothed)

// import torch, torch.nn.functional as F
// x = torch.tensor([[.5, -1., 2., 0.], [1.5, 0., -.5, 1.], [0., .25, 3., -2.]])
// y = torch.tensor([2, -100, 1]); w = torch.tensor([1., 2., .5, 3.])
// [F.cross_entropy(x, y), F.cross_entropy(x, y, label_smoothing=.2), F.cross_entropy(x, y, weight=w),
//  F.cross_entropy(x, y, weight=w, label_smoothing=.2), F.nll_loss(F.log_softmax(x, 1), y)]
BOOST_AUTO_TEST_CASE(classes_follow_pytorch) {
  const auto x = Tensor<float>::from({3, 4}, {0.5f, -1, 2, 0, 1.5f, 0, -0.5f, 1, 0, 0.25f, 3, -2});
  const auto y = Tensor<std::int32_t>::from({3}, {2, -100, 1});
  const auto w = Tensor<float>::from({4}, {1, 2, 0.5f, 3});
  const Values got{static_cast<double>(cria::cross_entropy(x, y).item()),
                   static_cast<double>(cria::cross_entropy(x, y, {.label_smoothing = 0.2}).item()),
                   static_cast<double>(cria::cross_entropy(x, y, w).item()),
                   static_cast<double>(cria::cross_entropy(x, y, w, {.label_smoothing = 0.2}).item()),
                   static_cast<double>(nll_loss(log_softmax(x, -1), y).item())};
  check_close("losses", got, {1.60304127, 1.75929127, 2.35945628, 2.68685576, 1.60304127}, 1e-6);
}

BOOST_AUTO_TEST_CASE(certain_predictions_have_finite_losses) {
  const auto x = Tensor<float>::from({4}, {1000, -1000, 1000, -1000});
  const auto target = Tensor<float>::from({4}, {1, 0, 0, 1});
  BOOST_TEST(binary_cross_entropy_with_logits(x, target, {.reduction = Reduction::sum}).item() == 2000.0f);
  BOOST_TEST(kl_div(x, Tensor<float>::zeros({4})).item() == 0.0f);
}

BOOST_AUTO_TEST_CASE(impossible_classes_do_not_matter_to_other_targets) {
  const float inf = std::numeric_limits<float>::infinity();
  const auto logits = Tensor<float>::from({2, 3}, {0, -inf, 0, 0, 0, -inf}).set_requires_grad();
  const auto targets = Tensor<std::int32_t>::from({2}, {0, 1});
  const auto weight = Tensor<float>::full({3}, 2.0f);
  const auto loss = cria::cross_entropy(logits, targets, weight);
  check_close("loss", {static_cast<double>(loss.item())}, {std::log(2.0)}, 1e-6);
  backward(loss);
  check_close("gradient", to_values(logits.grad()), {-0.25, 0, 0.25, 0.25, -0.25, 0}, 1e-6);
  BOOST_TEST(nll_loss(Tensor<float>::from({1, 2}, {0, -inf}), Tensor<std::int32_t>::zeros({1})).item() ==
             0.0f);
}

BOOST_AUTO_TEST_CASE(nothing_is_lost_where_all_targets_are_ignored) {
  const auto logits = Tensor<float>::from({1, 2}, {1, 2}).set_requires_grad();
  const auto ignored = Tensor<std::int32_t>::from({1}, {-100});
  const auto loss =
      cria::cross_entropy(logits, ignored, {.label_smoothing = 0.1}) + nll_loss(logits, ignored);
  BOOST_TEST(loss.item() == cria::cross_entropy(logits, ignored).item());
  backward(loss);
  BOOST_TEST((logits.grad().to_vector() == std::vector<float>{0, 0}));
}

BOOST_AUTO_TEST_CASE(similarities_are_those_of_the_broadcast_vectors) {
  const auto a = Tensor<float>::from({2, 3}, {1, 0, 0, 1, 1, 1}), one = Tensor<float>::full({2, 1}, 2.0f);
  check_close("of a column", to_values(cria::cosine_similarity(a, one)), {1 / std::sqrt(3.0), 1}, 1e-6);
  check_close("of a row", to_values(cria::cosine_similarity(Tensor<float>::full({3}, 3.0f), a, 0)),
              {1, 1 / std::sqrt(2.0), 1 / std::sqrt(2.0)}, 1e-6);
}

BOOST_AUTO_TEST_CASE(inputs_that_do_not_fit_are_named) {
  const auto x = Tensor<float>::zeros({2, 3});
  const auto message = [](auto run) { return error_message<ShapeError>(run); };
  BOOST_TEST(message([&] { mse_loss(x, Tensor<float>::zeros({3})); }) ==
             "mse_loss: shapes differ: x is [2, 3], target is [3]; they must be equal");
  BOOST_TEST(
      message([&] { nll_loss(x, Tensor<std::int32_t>::zeros({3})); }) ==
      "nll_loss: shapes differ: x without its last dimension is [2], targets is [3]; they must be equal");
  BOOST_TEST(message([&] {
               nll_loss(x, Tensor<std::int32_t>::from({2}, {0, 3})).item();
             }) == "nll_loss: index 3 at position 1 is out of range; it must be in [0, 3)");
  BOOST_TEST(error_message<ConfigError>([&] {
               cria::cross_entropy(x, Tensor<std::int32_t>::zeros({2}), {.label_smoothing = 1});
             }) == "cross_entropy: label_smoothing is 1.000000; it must be in [0, 1)");
  const auto scalar = Tensor<float>::scalar(1), wide = Tensor<float>::zeros({2, 4});
  BOOST_TEST(message([&] { nll_loss(scalar, Tensor<std::int32_t>::scalar(0)); }) ==
             "nll_loss: x is []; it must have at least 1 dimension");
  BOOST_TEST(message([&] {
               cria::cross_entropy(scalar, Tensor<std::int32_t>::scalar(0), {.label_smoothing = 0.5});
             }) == "cross_entropy: logits is []; it must have at least 1 dimension");
  BOOST_TEST(message([&] { cria::cosine_similarity(x, wide); }) ==
             "cosine_similarity: shapes [2, 3] and [2, 4] do not fit together; counted from the last, "
             "dimensions must be equal or 1");
  BOOST_TEST(message([&] { cria::cosine_similarity(x, x, 2); }) ==
             "cosine_similarity: x is [2, 3]; it has no dimension 2");
  BOOST_TEST(error_message<ConfigError>([&] { cria::cosine_similarity(x, x, -1, -1); }) ==
             "cosine_similarity: eps is -1.000000; it must be a number from 0 on");
  BOOST_TEST(error_message<ConfigError>([&] { huber_loss(x, x, {.delta = 0}); }) ==
             "huber_loss: delta is 0.000000; it must be greater than 0");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
