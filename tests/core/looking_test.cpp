// What a user looks at while searching for an error: gradients checked, graphs drawn, the first bad number,
// memory.

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <string>

#include "cria/cria.hpp"
#include "cria/testing/gradcheck.hpp"
#include "support/error_message.hpp"

BOOST_AUTO_TEST_SUITE(core)
BOOST_AUTO_TEST_SUITE(looking)

namespace {
using namespace cria;
using cria::test::error_message;

/// x^2, whose gradient is wrong by a factor.
Tensor<double> badly_squared(const Tensor<double>& x) {
  return record("badly_squared", square(x.detach()), inputs(x),
                [x](const Tensor<double>& dy) { accumulate(sink(x), dy * x.detach()); });
}
}  // namespace

BOOST_AUTO_TEST_CASE(gradients_are_checked) {
  const auto a = Tensor<double>::from({2, 2}, {1, 2, 3, 4}), b = Tensor<double>::from({2}, {0.5, -1});
  BOOST_TEST(bool(gradcheck([](const auto& x, const auto& y) { return tanh(x * y) + y; }, a, b)));
  const auto wrong = gradcheck([](const auto& x, const auto& y) { return x + badly_squared(y); }, a, b);
  BOOST_TEST(!wrong.passed);
  BOOST_TEST(wrong.message.starts_with("the gradient of input 1 along direction "));
  BOOST_TEST(bool(gradcheck(
      {.tolerance = 10}, [](const auto& y) { return badly_squared(y); }, b)));
  const auto cut = gradcheck([](const auto& x) { return x.detach() * 2; }, a);
  BOOST_TEST(!cut.passed);
  const auto undefined = gradcheck([](const auto& x) { return sqrt(x); }, b);
  BOOST_TEST(!undefined.passed);
}

BOOST_AUTO_TEST_CASE(graphs_are_drawn) {
  const auto x = Tensor<float>::zeros({2, 3}).set_requires_grad();
  BOOST_TEST(graph_to_dot(sum(square(x))) ==
             "digraph cria {\n"
             "  n0 [label=\"square\", shape=box];\n"
             "  n1 [label=\"float32 [2, 3]\", shape=ellipse];\n"
             "  n1 -> n0;\n"
             "  n2 [label=\"sum\", shape=box];\n"
             "  n0 -> n2;\n"
             "}\n");
  BOOST_TEST(graph_to_dot(x) == "digraph cria {\n}\n");
  const std::string chosen = graph_to_dot(where(Tensor<bool>::from({2, 3}, std::vector<bool>(6)), x, 0.0f));
  BOOST_TEST(chosen.find("[label=\"bool [2, 3]\", shape=ellipse]") != std::string::npos, chosen);
}

BOOST_AUTO_TEST_CASE(the_first_number_that_is_not_finite_is_named) {
  const auto x = Tensor<float>::from({2}, {1, 0}).set_requires_grad();
  BOOST_TEST(std::isinf(log(x).to_vector()[1]));
  const DetectAnomaly guard;
  BOOST_TEST(error_message<AutogradError>([&] { sum(log(x)); }) ==
             "DetectAnomaly: the result of 'log', [2], is -inf at element 1");
  const auto loss = sum(square(sqrt(x)) * 0);
  BOOST_TEST(error_message<AutogradError>([&] { backward(sum(sqrt(x * 1))); }) ==
             "DetectAnomaly: the gradient of an input of 'sqrt', [2], is inf at element 1");
  BOOST_TEST(error_message<AutogradError>([&] { backward(sum(sqrt(x))); }) ==  // x is a leaf
             "DetectAnomaly: the gradient of an input of 'sqrt', [2], is inf at element 1");
  BOOST_TEST(error_message<AutogradError>([&] { backward(sum(x * 2), std::nanf("")); }) ==
             "DetectAnomaly: the gradient of the result of 'sum', [], is nan at element 0");
  auto again = Tensor<float>::from({2}, {1, 0}).set_requires_grad();
  const auto inner = [](const auto& t) { return sum(sqrt(t * 1)); };
  BOOST_TEST(error_message<AutogradError>([&] { backward(recompute(inner, again)); }) ==
             "DetectAnomaly: the gradient of an input of 'sqrt', [2], is inf at element 1");
}

BOOST_AUTO_TEST_CASE(memory_is_counted) {
  const auto before = memory_statistics();
  const auto x = Tensor<float>::zeros({1024});
  BOOST_TEST(memory_statistics().in_use == before.in_use + 4096);
  BOOST_TEST(memory_statistics().peak_in_use >= before.in_use + 4096);
}

BOOST_AUTO_TEST_CASE(functions_of_several_tensors_are_recomputed) {
  const auto a = Tensor<float>::from({2}, {1, 2}).set_requires_grad();
  const auto b = Tensor<float>::from({2}, {3, 4}).set_requires_grad();
  backward(sum(recompute([](const auto& x, const auto& y) { return x * y * y; }, a, b)));
  BOOST_TEST((a.grad().to_vector() == std::vector<float>{9, 16}));
  BOOST_TEST((b.grad().to_vector() == std::vector<float>{6, 16}));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
