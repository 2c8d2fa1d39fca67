#include "cria/ops/softmax.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(softmax)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;

template <bool Log>
struct Case {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{{3, 5}}, {{2, 1, 4}}, {{2, 40, 3}}, {{3, 33}}, {{2, 70}}}; }
  static constexpr bool infinities_are_exact = false;
  static std::int64_t terms(const Shapes& shapes) { return shapes[0].dim(1); }
  static auto run(const auto& x) {
    if constexpr (Log) {
      return cria::log_softmax(x, 1);
    } else {
      return cria::softmax(x, 1);
    }
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const Shape& s = shapes[0];
    const std::int64_t n = s.dim(1), inner = s.product(2, s.rank());
    Values y(inputs[0].size());
    for (std::int64_t i = 0; i < s.dim(0) * inner; ++i) {
      const auto at = [&](std::int64_t j) {
        return static_cast<std::size_t>(i / inner * n * inner + j * inner + i % inner);
      };
      double sum = 0;
      for (std::int64_t j = 0; j < n; ++j) sum += std::exp(inputs[0][at(j)]);
      for (std::int64_t j = 0; j < n; ++j) {
        y[at(j)] = Log ? inputs[0][at(j)] - std::log(sum) : std::exp(inputs[0][at(j)]) / sum;
      }
    }
    return y;
  }
};

}  // namespace

CRIA_TEST_OPERATION(probabilities, Case<false>)
CRIA_TEST_OPERATION(logarithms, Case<true>)

BOOST_AUTO_TEST_CASE(large_numbers_and_masks_are_fine) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const std::size_t n : {2u, 64u}) {
    std::vector<float> values(n, 1000), want(n, 1 / static_cast<float>(n));
    values.resize(2 * n, -infinity);
    want.resize(2 * n, 0);
    values.back() = 5;
    want.back() = 1;
    const auto x = Tensor<float>::from({2, static_cast<std::int64_t>(n)}, values);
    BOOST_TEST((cria::softmax(x, -1).to_vector() == want));
    BOOST_TEST(cria::log_softmax(x, -1).to_vector()[n] == -infinity);
    BOOST_TEST(cria::log_softmax(x, -1).to_vector().back() == 0.0f);
  }
}

BOOST_AUTO_TEST_CASE(the_maximum_may_grow_along_a_row) {
  // Long enough that every thread of a GPU's block has numbers from all over the row.
  constexpr std::int64_t part = 1024, parts = 32, n = part * parts;
  std::vector<float> growing, late;
  for (std::int64_t j = 0; j < n; ++j) {
    growing.push_back(0.002f * static_cast<float>(j));
    late.push_back(j < n - part ? -0.3f * static_cast<float>(j / part % 7) : 50.0f);
  }
  const auto of = [](const std::vector<float>& row) {
    return test::to_values(cria::softmax(Tensor<float>::from({n}, row), 0));
  };
  Values want(static_cast<std::size_t>(n));
  double sum = 0;
  for (const float x : growing) sum += std::exp(static_cast<double>(x - growing.back()));
  for (std::size_t j = 0; j < want.size(); ++j) {
    want[j] = std::exp(static_cast<double>(growing[j] - growing.back())) / sum;
  }
  test::check_close("growing", of(growing), want, 1e-6);
  // Next to the last numbers all others vanish, and so does what additions of theirs rounded off.
  BOOST_TEST(of(late).back() == 1.0 / part);
}

BOOST_AUTO_TEST_CASE(there_must_be_something_along_the_dimension) {
  BOOST_TEST(error_message<ShapeError>([] {
               cria::softmax(Tensor<float>::zeros({2, 0}), 1);
             }) == "softmax: x is [2, 0]; at least one element is needed");
  BOOST_TEST(error_message<ShapeError>([] { cria::log_softmax(Tensor<float>::zeros({2}), 1); }) ==
             "log_softmax: x is [2]; it has no dimension 1");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
