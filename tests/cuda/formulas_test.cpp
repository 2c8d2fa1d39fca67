#include "cria/ops/map.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "cria/ops/elementwise.hpp"
#include "cria/ops/reduce.hpp"
#include "support/compare.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(cuda)
BOOST_AUTO_TEST_SUITE(formulas)

namespace {

using namespace cria;
using cria::test::check_close;
using cria::test::normals;
using cria::test::rounded;
using cria::test::to_values;
using cria::test::Values;

/// Every function that formulas may use, and a mask.
CRIA_FORMULA(Everything, (auto m, auto x, auto a, auto b),
             where(m&& a < b, tanh(a* x) + b, exp(x) - log1p(abs(b))) + erf(x) + pow(x, 2) + sin(x) * cos(b) +
                 sqrt(abs(x) + 1) + rsqrt(abs(x) + 1) + expm1(a) + sigmoid(b) + max(x, a) + min(b, 0.5) +
                 floor(x) + square(b) + log(abs(b) + 1) + pow(abs(a) + 1, b) -
                 ceil(a) / (2 + round(x) * round(x)))

/// The result and all gradients on backend B, which is the CPU's for the reference.
template <class T, class B>
Values run(const std::vector<Shape>& shapes) {
  std::vector<bool> mask_values;
  for (std::int64_t i = 0; i < shapes[0].size(); ++i) mask_values.push_back(i % 3 != 0);
  auto mask =
      Tensor<float, B>::from(shapes[0], std::vector<float>(mask_values.begin(), mask_values.end())) > 0.5f;
  std::vector<Tensor<T, B>> x;
  for (std::size_t k = 1; k < shapes.size(); ++k) {
    x.push_back(Tensor<T, B>::from(shapes[k], rounded<T>(normals(shapes[k].size(), k))));
    x.back().set_requires_grad();
  }
  Values all;
  for (int repeat = 0; repeat < 2; ++repeat) {  // the second adds to gradients that are there
    const auto y = cria::map(Everything{}, mask, x[0], x[1], x[2]);
    all = to_values(y);
    backward(sum(y * Tensor<T, B>::from(y.shape(), rounded<T>(normals(y.size(), 9)))));
  }
  for (const auto& input : x) {
    const Values gradient = to_values(input.grad());
    all.insert(all.end(), gradient.begin(), gradient.end());
  }
  return all;
}

template <class T>
void check_as_the_cpu(double tolerance) {
  const std::vector<std::vector<Shape>> cases = {
      {{37}, {37}, {37}, {37}},                // all whole, and a rest
      {{3, 40}, {3, 40}, {40}, {3, 1}},        // a row and a column
      {{}, {2, 3, 5}, {3, 1}, {2, 1, 5}},      // dimension by dimension
      {{1, 300}, {70, 300}, {300}, {1}},       // sums in several parts
      {{2, 1}, {2, 9000}, {1, 9000}, {2, 1}},  // rows longer than a part
      {{0, 3}, {0, 3}, {3}, {}},               // nothing to sum up
  };
  for (const auto& shapes : cases) {
    check_close(std::string(dtype_name<T>) + " of " + to_string(shapes[1]), run<T, Cuda>(shapes),
                run<T, Cpu>(shapes), tolerance);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(formulas_are_computed_as_on_the_cpu_in_float32) {
  check_as_the_cpu<float>(2e-5);
}
BOOST_AUTO_TEST_CASE(formulas_are_computed_as_on_the_cpu_in_float64) {
  check_as_the_cpu<double>(1e-10);
}
BOOST_AUTO_TEST_CASE(formulas_are_computed_as_on_the_cpu_in_bfloat16) {
  check_as_the_cpu<bfloat16>(0.02);
}

BOOST_AUTO_TEST_CASE(masks_are_tensors) {
  const auto a = Tensor<float>::from({3}, {1, 2, 3});
  const auto mask = !(a < 2) && (a <= 2 || a > 5);
  BOOST_TEST((mask.to_vector() == std::vector<bool>{false, true, false}));
  BOOST_TEST((where(mask, a, -a).to_vector() == std::vector<float>{-1, 2, -3}));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
