// Sums of very many float numbers, wherever cria forms some: in operations, losses, norms, and gradients of
// weights.

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>

#include "cria/cria.hpp"
#include "support/compare.hpp"
#include "support/threads.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(long_sums)

namespace {

using namespace cria;
using cria::test::Values;

#ifdef CRIA_CUDA_EMULATION
// Threads take their time where they are emulated. Columns are summed up in parts of 1,024, rows in parts of
// 8,192.
constexpr std::int64_t many = 30'000, some = 1100;
#else
constexpr std::int64_t many = 10'000'000, some = 3000;
#endif

/// One running float sum of ten million equal numbers is off by up to 9 %.
void check_sum(const char* what, const Tensor<float>& sums, double want, double bound = 3e-6) {
  for (const float got : sums.to_vector()) {
    BOOST_TEST(std::abs(static_cast<double>(got) / want - 1) < bound,
               what << ": got " << got << ", want " << want);
  }
}

const double tenth = static_cast<double>(0.1f);

/// How exact gradients of weights are.
#if defined(CRIA_CUDA_EMULATION)
constexpr double of_products = 3e-4;  // it adds up all products of a part one by one
#elif defined(CRIA_DEFAULT_BACKEND_CUDA)
constexpr double of_products = 1e-4;  // cuBLAS adds up thousands one by one
#else
constexpr double of_products = 1e-5;
#endif

}  // namespace

BOOST_AUTO_TEST_CASE(of_all_elements_and_along_a_dimension) {
  check_sum("sum", sum(Tensor<float>::full({many}, 0.1f)), tenth * static_cast<double>(many));
  check_sum("mean", mean(Tensor<float>::full({many}, 0.1f)), tenth);
  const std::int64_t rows = many / 4;
  check_sum("sum over the rows", sum(Tensor<float>::full({rows, 4}, 0.1f), 0),
            tenth * static_cast<double>(rows));
  check_sum("sum over the columns", sum(Tensor<float>::full({4, rows}, 0.1f), 1),
            tenth * static_cast<double>(rows));
  check_sum("mean over the middle", mean(Tensor<float>::full({2, rows / 2, 2}, 0.1f), 1), tenth);
}

BOOST_AUTO_TEST_CASE(of_losses) {
  const std::int64_t rows = many / 4;
  const auto targets = Tensor<std::int32_t>::zeros({rows});
  const double loss = std::log1p(std::exp(-tenth));  // of logits 0.1 and 0
  std::vector<float> logits(static_cast<std::size_t>(2 * rows));
  for (std::size_t i = 0; i < logits.size(); i += 2) logits[i] = 0.1f;
  check_sum("cross_entropy", cria::cross_entropy(Tensor<float>::from({rows, 2}, logits), targets), loss);

  Parameter<float> weight({2, 1});
  weight.value().assign(std::vector<float>{0.1f, 0.0f});
  const auto x = Tensor<float>::full({rows, 1}, 1.0f);
  const auto linear_loss = cria::linear_cross_entropy(x, weight, targets);
  check_sum("linear_cross_entropy", linear_loss, loss);
  backward(linear_loss);
  const double p = 1 / (1 + std::exp(-tenth));
  check_sum("linear_cross_entropy, weight's gradient",
            sum(weight.grad() * Tensor<float>::from({2, 1}, {1, 0})), p - 1, of_products);

  const auto wide = Tensor<float>::zeros({1, many});
  check_sum("cross_entropy of many classes", cria::cross_entropy(wide, Tensor<std::int32_t>::zeros({1})),
            std::log(static_cast<double>(many)));
}

BOOST_AUTO_TEST_CASE(of_norms) {
  const Parameter<float> factors({many}, 1.0);
  auto x = Tensor<float>::full({1, many}, 0.1f).set_requires_grad();
  const auto y = cria::rms_norm(x, factors, 0.0f);
  check_sum("rms_norm", mean(y), 1.0);

  const std::int64_t rows = many / 4;
  const Parameter<float> narrow({4}, 1.0);
  backward(sum(cria::rms_norm(Tensor<float>::full({rows, 4}, 0.1f), narrow, 0.0f) * 0.1f));
  check_sum("rms_norm, weight's gradient", narrow.grad(), tenth * static_cast<double>(rows));
}

BOOST_AUTO_TEST_CASE(of_gradients_of_weights) {
  {
    const Parameter<float> weight({1, 2});
    backward(sum(cria::linear(Tensor<float>::full({many / 2, 2}, 0.1f), weight)));
    check_sum("linear", weight.grad(), tenth * static_cast<double>(many / 2), of_products);
  }
#ifndef CRIA_DEFAULT_BACKEND_CUDA  // where the library has the whole product
  {
    auto weight = Tensor<float>::zeros({2, 1}).set_requires_grad();
    backward(sum(cria::matmul(Tensor<float>::full({many / 2, 2}, 0.1f), weight)));
    check_sum("matmul", weight.grad(), tenth * static_cast<double>(many / 2), of_products);
  }
#endif
  {
    const Parameter<float> weight({3, 2});
    backward(sum(cria::embedding(Tensor<std::int32_t>::full({many / 2}, 1), weight) * 0.1f));
    check_sum("embedding", sum(weight.grad(), 0), tenth * static_cast<double>(many / 2));
  }
}

BOOST_AUTO_TEST_CASE(in_an_order_that_does_not_depend_on_threads) {
  const std::int64_t rows = some, cols = 200;
  std::vector<float> values(static_cast<std::size_t>(rows * cols));
  Rng rng(1);
  for (float& value : values) value = static_cast<float>(rng.normal());
  test::check_threads_do_not_matter([&] {
    const auto x = Tensor<float>::from({rows, cols}, values).set_requires_grad();
    const Parameter<float> factors({cols}, 1.0), terms({cols}), table({7, cols});
    std::vector<std::int32_t> tokens(static_cast<std::size_t>(rows));
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>(i % 3);
    const auto y =
        cria::rms_norm(x, factors) * cria::embedding(Tensor<std::int32_t>::from({rows}, tokens), table);
    const auto z = cria::softmax(x, 1) * cria::log_softmax(x, 1) * cria::layer_norm(x, factors, terms);
    const auto loss =
        sum(sum(y + x, 0)) + sum(z) + cria::cross_entropy(x, Tensor<std::int32_t>::from({rows}, tokens));
    backward(loss);
    Values all = test::to_values(loss);
    for (const auto& part : {x.grad(), factors.grad(), terms.grad(), table.grad(), sum(x, 0), sum(x, 1)}) {
      const Values more = test::to_values(part);
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  });
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
