#include "cria/ops/einsum.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(einsum)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;

/// What attention's scores are, with dimensions in an order that has to be changed.
struct Scores {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{{2, 3, 2, 4}, {2, 5, 2, 4}}, {{1, 1, 1, 1}, {1, 1, 1, 1}}}; }
  static std::int64_t terms(const Shapes& shapes) { return shapes[0].dim(3); }
  static auto run(const auto& q, const auto& k) { return cria::einsum("bqhd,bkhd->bhqk", q, k); }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const auto queries = shapes[0].dim(1), keys = shapes[1].dim(1), heads = shapes[0].dim(2);
    const auto dim = shapes[0].dim(3);
    Values y;
    for (std::int64_t i = 0; i < shapes[0].dim(0) * heads * queries * keys; ++i) {
      const auto k = i % keys, q = i / keys % queries, h = i / (keys * queries) % heads;
      const auto b = i / (keys * queries * heads);
      double sum = 0;
      for (std::int64_t d = 0; d < dim; ++d) {
        sum += inputs[0][static_cast<std::size_t>(((b * queries + q) * heads + h) * dim + d)] *
               inputs[1][static_cast<std::size_t>(((b * keys + k) * heads + h) * dim + d)];
      }
      y.push_back(sum);
    }
    return y;
  }
};

}  // namespace

CRIA_TEST_OPERATION(scores, Scores)

BOOST_AUTO_TEST_CASE(dimensions_may_be_empty) {
  const auto product = [](const Shape& a, const Shape& b) {
    return cria::einsum("ij,jk->ki", Tensor<float>::zeros(a), Tensor<float>::zeros(b));
  };
  BOOST_TEST(product({0, 3}, {3, 2}).shape() == Shape({2, 0}));
  BOOST_TEST((product({1, 0}, {0, 2}).to_vector() == std::vector<float>{0, 0}));
}

BOOST_AUTO_TEST_CASE(formulas_and_shapes_that_do_not_fit_are_named) {
  const auto x = Tensor<float>::zeros({2, 3});
  for (const std::string formula :
       {"", "ij", "ij,jk", "ij->ij", "ij,jk->il", "ii,ij->j", "ij,ij->jj", "i.,ij->j", "ij,jk,kl->il"}) {
    BOOST_TEST(
        error_message<ConfigError>([&] { cria::einsum(formula, x, x); }) ==
        "einsum: the formula is '" + formula +
            "'; it must be of the form 'bij,bjk->bik', a letter for each dimension, which operands and "
            "result have at most once, and each of the result's in an operand");
  }
  BOOST_TEST(error_message<ShapeError>([&] { cria::einsum("bij,ij->b", x, x); }) ==
             "einsum: a is [2, 3]; it must have 3 dimensions");
  BOOST_TEST(error_message<ShapeError>([&] { cria::einsum("ij,jk->ik", x, x); }) ==
             "einsum: dimensions differ: a is [2, 3], b is [2, 3]; a.dim(1) = 3 must equal b.dim(0) = 2");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
