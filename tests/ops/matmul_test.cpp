#include "cria/ops/matmul.hpp"

#include <boost/test/unit_test.hpp>
#include <tuple>
#include <vector>

#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(matmul)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;

struct MatMul {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Tensor<T>>;
  static std::vector<Shapes> shapes() {
    return {{{1, 1}, {1, 1}}, {{3, 0}, {0, 2}}, {{7, 33}, {33, 5}}, {{2, 3, 5, 7}, {2, 3, 7, 4}}};
  }
  static std::int64_t terms(const Shapes& shapes) { return shapes[0].dim(-1) + 1; }
  template <class T>
  static Tensor<T> run(const Tensor<T>& a, const Tensor<T>& b) {
    return cria::matmul(a, b);
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const auto m = static_cast<std::size_t>(shapes[0].dim(-2)),
               k = static_cast<std::size_t>(shapes[0].dim(-1));
    const auto n = static_cast<std::size_t>(shapes[1].dim(-1));
    const auto batch = static_cast<std::size_t>(shapes[0].product(0, shapes[0].rank() - 2));
    Values y;
    for (std::size_t b = 0; b < batch; ++b) {
      for (std::size_t i = 0; i < m; ++i) {
        for (std::size_t j = 0; j < n; ++j) {
          double sum = 0;
          for (std::size_t l = 0; l < k; ++l)
            sum += inputs[0][(b * m + i) * k + l] * inputs[1][(b * k + l) * n + j];
          y.push_back(sum);
        }
      }
    }
    return y;
  }
};

std::string message(const Shape& a, const Shape& b) {
  return error_message<ShapeError>([&] { cria::matmul(Tensor<float>::zeros(a), Tensor<float>::zeros(b)); });
}

}  // namespace

BOOST_AUTO_TEST_CASE(shapes_must_fit) {
  BOOST_TEST(message({3}, {3}) == "matmul: a is [3]; it must have at least 2 dimensions");
  BOOST_TEST(message({2, 3}, {1, 3, 2}) == "matmul: b is [1, 3, 2]; it must have 2 dimensions");
  BOOST_TEST(
      message({2, 3, 4}, {1, 4, 5}) ==
      "matmul: dimensions differ: a is [2, 3, 4], b is [1, 4, 5]; a.dim(0) = 2 must equal b.dim(0) = 1");
  BOOST_TEST(message({2, 3}, {4, 5}) ==
             "matmul: dimensions differ: a is [2, 3], b is [4, 5]; a.dim(-1) = 3 must equal b.dim(-2) = 4");
}

using SixteenBit = std::tuple<bfloat16, float16>;
BOOST_AUTO_TEST_CASE_TEMPLATE(sixteen_bits_are_summed_in_float, T, SixteenBit) {
  const auto ones = [](const Shape& shape) { return Tensor<T>::full(shape, T(1.0f)); };
  // Sums in T would stop at 256 (bfloat16) or 2048 (float16).
  BOOST_TEST(static_cast<float>(cria::matmul(ones({1, 4096}), ones({4096, 1})).item()) == 4096.0f);
}

CRIA_TEST_OPERATION(operation, MatMul)

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
