#include "cria/nn/activations.hpp"

#include <boost/test/unit_test.hpp>
#include <vector>

#include "cria/cria.hpp"
#include "support/compare.hpp"

BOOST_AUTO_TEST_SUITE(nn)
BOOST_AUTO_TEST_SUITE(activations)

BOOST_AUTO_TEST_CASE(they_are_the_functions) {
  using namespace cria;
  const auto x = Tensor<double>::from({4}, {-2, -0.5, 0, 1.5});
  const auto check = [&x](const char* name, const auto& module, const Tensor<double>& y) {
    BOOST_TEST((module(x).to_vector() == y.to_vector()), name);
    BOOST_TEST(cria::nn::state_dict(module).empty(), name);
  };
  check("relu", cria::nn::Relu{}, relu(x));
  check("gelu", cria::nn::Gelu{}, gelu(x));
  check("gelu_tanh", cria::nn::GeluTanh{}, gelu_tanh(x));
  check("silu", cria::nn::Silu{}, silu(x));
  check("sigmoid", cria::nn::Sigmoid{}, sigmoid(x));
  check("tanh", cria::nn::Tanh{}, tanh(x));
  check("softplus", cria::nn::Softplus{}, softplus(x));
  check("leaky_relu", cria::nn::LeakyRelu{0.2}, leaky_relu(x, 0.2));
  check("elu", cria::nn::Elu{2}, elu(x, 2));
}

BOOST_AUTO_TEST_CASE(windows_are_pooled) {
  using namespace cria;
  const auto x = Tensor<double>::from({1, 1, 2, 4}, {1, 2, 3, 4, 5, 6, 7, 8});
  BOOST_TEST((cria::nn::AvgPool2d{2}(x).to_vector() == std::vector<double>{3.5, 5.5}));
  BOOST_TEST(
      (cria::nn::MaxPool2d{{1, 2}, {.stride = 1}}(x).to_vector() == std::vector<double>{2, 3, 4, 6, 7, 8}));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
