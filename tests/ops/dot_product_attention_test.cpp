#include "cria/ops/dot_product_attention.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <tuple>
#include <vector>

#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(dot_product_attention)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;

/// Every second key of the last query is hidden if `masked`.
template <bool masked>
struct Case {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Tensor<T>, Tensor<T>>;
  static std::vector<Shapes> shapes() {
    return {{{1, 1}, {1, 1}, {1, 1}}, {{3, 4}, {5, 4}, {5, 2}}, {{2, 2, 3, 5}, {2, 2, 40, 5}, {2, 2, 40, 5}}};
  }
  static std::int64_t terms(const Shapes& shapes) { return 4 * (shapes[0].dim(-1) + shapes[1].dim(-2)); }
  static constexpr bool infinities_are_exact = false;
  template <class T>
  static Tensor<T> run(const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v) {
    if constexpr (masked) {
      std::vector<bool> hidden;
      for (std::int64_t i = 0; i < q.dim(-2); ++i) {
        for (std::int64_t j = 0; j < k.dim(-2); ++j) hidden.push_back(i + 1 == q.dim(-2) && j % 2 == 1);
      }
      return scaled_dot_product_attention(q, k, v, Tensor<bool>::from({q.dim(-2), k.dim(-2)}, hidden));
    } else {
      return scaled_dot_product_attention(q, k, v);
    }
  }
  static Values reference(const std::vector<Values>& in, const Shapes& shapes) {
    const auto dim = [&](std::size_t i, int axis) { return static_cast<std::size_t>(shapes[i].dim(axis)); };
    const std::size_t length = dim(0, -2), d = dim(0, -1), keys = dim(1, -2), n = dim(2, -1);
    Values y;
    for (std::size_t row = 0; row < in[0].size() / d; ++row) {
      const std::size_t stack = row / length;
      Values weights, sums(n, 0.0);
      double total = 0;
      for (std::size_t j = 0; j < keys; ++j) {
        double score = 0;
        for (std::size_t i = 0; i < d; ++i) score += in[0][row * d + i] * in[1][(stack * keys + j) * d + i];
        const bool hidden = masked && row % length + 1 == length && j % 2 == 1;
        weights.push_back(hidden ? 0 : std::exp(score / std::sqrt(static_cast<double>(d))));
        total += weights.back();
      }
      for (std::size_t j = 0; j < keys; ++j) {
        for (std::size_t i = 0; i < n; ++i) sums[i] += weights[j] / total * in[2][(stack * keys + j) * n + i];
      }
      y.insert(y.end(), sums.begin(), sums.end());
    }
    return y;
  }
};

}  // namespace

CRIA_TEST_COMPOSED(to_all, Case<false>)
CRIA_TEST_COMPOSED(to_some, Case<true>)

BOOST_AUTO_TEST_CASE(shapes_that_do_not_fit_are_named) {
  const auto zeros = [](const Shape& shape) { return Tensor<float>::zeros(shape); };
  BOOST_TEST(error_message<ShapeError>([&] {
               scaled_dot_product_attention(zeros({3, 4}), zeros({5, 2}), zeros({5, 4}));
             }) ==
             "scaled_dot_product_attention: dimensions differ: q is [3, 4], k is [5, 2]; q.dim(-1) = 4 "
             "must equal k.dim(-1) = 2");
  BOOST_TEST(error_message<ShapeError>([&] {
               scaled_dot_product_attention(zeros({3, 4}), zeros({5, 4}), zeros({6, 4}));
             }) ==
             "scaled_dot_product_attention: dimensions differ: k is [5, 4], v is [6, 4]; k.dim(-2) = 5 "
             "must equal v.dim(-2) = 6");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
