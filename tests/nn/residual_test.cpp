#include "cria/nn/residual.hpp"

#include <boost/test/unit_test.hpp>
#include <vector>

#include "cria/cria.hpp"
#include "support/compare.hpp"

BOOST_AUTO_TEST_SUITE(nn)
BOOST_AUTO_TEST_SUITE(residual)

namespace {
using namespace cria;
}  // namespace

BOOST_AUTO_TEST_CASE(branches_are_added_whenever_x_is_asked_for) {
  const auto of = [](float a, float b) { return Tensor<float>::from({1, 2}, {a, b}); };
  const cria::nn::RmsNorm<float> norm(2, 0.5f);
  cria::nn::Residual x(of(1, 2));
  BOOST_TEST((x.norm(norm).to_vector() == norm(of(1, 2)).to_vector()));
  x.add(of(10, 20));
  BOOST_TEST((x.value().to_vector() == std::vector<float>{11, 22}));
  BOOST_TEST((x.norm(norm).to_vector() == norm(of(11, 22)).to_vector()));
  BOOST_TEST((x.value().to_vector() == std::vector<float>{11, 22}));  // once
  x.add(of(100, 200));
  x.add(of(1000, 2000));
  BOOST_TEST((x.value().to_vector() == std::vector<float>{1111, 2222}));
  BOOST_TEST((x.norm(norm).to_vector() == norm(of(1111, 2222)).to_vector()));
}

BOOST_AUTO_TEST_CASE(gradients_are_those_of_the_sums_written_out) {
  const auto of = [](float a, float b) { return Tensor<float>::from({1, 2}, {a, b}).set_requires_grad(); };
  const cria::nn::RmsNorm<float> norm(2, 0.5f);
  const auto x = of(1, 2), y = of(1, 2);
  cria::nn::Residual path(x);
  path.add(square(path.norm(norm)));
  path.add(exp(path.norm(norm)));
  backward(sum(path.norm(norm) * path.value()));
  const auto h = y + square(norm(y)), last = h + exp(norm(h));
  backward(sum(norm(last) * last));
  test::check_close("gradient", test::to_values(x.grad()), test::to_values(y.grad()), 1e-6);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
