#include "cria/ops/embedding.hpp"

#include <boost/test/unit_test.hpp>
#include <tuple>
#include <vector>

#include "support/error_message.hpp"
#include "support/memory.hpp"
#include "support/op_case.hpp"
#include "support/threads.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(embedding)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;

constexpr std::int64_t tokens = 13;  // more than rows of the weight: some occur twice

struct Embedding {
  template <class T>
  using Inputs = std::tuple<Parameter<T>>;
  static std::vector<Shapes> shapes() { return {{{1, 1}}, {{3, 7}}, {{5, 67}}}; }
  static std::int64_t terms(const Shapes&) { return tokens; }
  template <class T>
  static Tensor<T> run(const Parameter<T>& weight) {
    return cria::embedding(cria::test::indices({tokens, 1}, weight.shape().dim(0)), weight);
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const auto dim = static_cast<std::size_t>(shapes[0].dim(1));
    Values y;
    for (const std::int32_t token : cria::test::indices({tokens}, shapes[0].dim(0)).to_vector()) {
      for (std::size_t d = 0; d < dim; ++d) y.push_back(inputs[0][static_cast<std::size_t>(token) * dim + d]);
    }
    return y;
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(the_output_has_the_shape_of_the_tokens_and_a_row) {
  const auto y = cria::embedding(cria::test::indices({2, 3}, 5), cria::test::zeros({5, 4}));
  BOOST_TEST(y.shape() == Shape({2, 3, 4}));
}

BOOST_AUTO_TEST_CASE(tokens_must_be_in_the_vocabulary) {
  const Parameter<float> weight = cria::test::zeros({5, 4});
  const auto message = [&](std::int32_t token) {
    return error_message<ShapeError>([&] {
      cria::embedding(Tensor<std::int32_t>::from({3}, {0, 4, token}), weight);
      DefaultBackend::synchronize();
    });
  };
  BOOST_TEST(message(5) ==
             "embedding: token 5 at position 2 is outside the vocabulary; it must be in [0, 5)");
  BOOST_TEST(message(-1) ==
             "embedding: token -1 at position 2 is outside the vocabulary; it must be in [0, 5)");
  // It is the first that is told of: of those that a thread of a GPU looks at, and of several calls.
  std::vector<std::int32_t> many(1030);
  many[1027] = 7;
  many[3] = 6;
  BOOST_TEST(error_message<ShapeError>([&] {
               cria::embedding(Tensor<std::int32_t>::from({1030}, many), weight);
               DefaultBackend::synchronize();
             }) == "embedding: token 6 at position 3 is outside the vocabulary; it must be in [0, 5)");
  BOOST_TEST(error_message<ShapeError>([&] {
               for (const std::int32_t token : {6, 7})
                 cria::embedding(Tensor<std::int32_t>::from({1}, {token}), weight);
               DefaultBackend::synchronize();
             }) == "embedding: token 6 at position 0 is outside the vocabulary; it must be in [0, 5)");
  BOOST_TEST(error_message<ShapeError>([] {
               cria::embedding(cria::test::indices({2}, 2), Parameter<float>({5}));
             }) == "embedding: weight is [5]; it must have 2 dimensions");
}

BOOST_AUTO_TEST_CASE(threads_do_not_matter) {
  cria::test::check_threads_do_not_matter([] {
    Parameter<float> weight({50, 300});
    weight.value().assign(cria::test::rounded<float>(cria::test::normals(weight.size(), 1)));
    backward(sum(cria::square(cria::embedding(cria::test::indices({400}, 50), weight))));
    return cria::test::to_values(weight.grad());
  });
}

// On a GPU a block has some rows and columns of the weight, and looks at some tokens at a time.
BOOST_AUTO_TEST_CASE(gradients_of_many_tokens_rows_and_columns) {
  constexpr std::int64_t rows = 17, columns = 515;
  const auto ids = cria::test::indices({300}, rows);
  const Parameter<float> weight = cria::test::zeros({rows, columns});
  std::vector<float> dy, want(static_cast<std::size_t>(rows * columns));
  for (const std::int32_t token : ids.to_vector()) {
    for (std::int64_t j = 0; j < columns; ++j) {
      dy.push_back(static_cast<float>(dy.size() % 101));
      want[static_cast<std::size_t>(token * columns + j)] += dy.back();
    }
  }
  backward(sum(cria::embedding(ids, weight) * Tensor<float>::from({300, columns}, dy)));
  BOOST_TEST((weight.grad().to_vector() == want));
}

CRIA_TEST_OPERATION(operation, Embedding)

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
