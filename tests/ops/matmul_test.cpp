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

/// Vectors, and leading dimensions that are broadcast.
struct Broadcast {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Tensor<T>>;
  static std::vector<Shapes> shapes() {
    return {{{3}, {3}}, {{2, 3}, {3}}, {{3}, {4, 3, 2}}, {{2, 3, 4}, {4, 5}}, {{2, 1, 3, 4}, {5, 4, 2}}};
  }
  static std::int64_t terms(const Shapes& shapes) { return shapes[0].dim(-1) + 1; }
  template <class T>
  static Tensor<T> run(const Tensor<T>& a, const Tensor<T>& b) {
    return cria::matmul(a, b);
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const Shape a = shapes[0].rank() == 1 ? Shape{1, shapes[0].dim(0)} : shapes[0];
    const Shape b = shapes[1].rank() == 1 ? Shape{shapes[1].dim(0), 1} : shapes[1];
    const Shape of_a = a.leading().leading(), of_b = b.leading().leading();
    const Shape stack = broadcast_shape("reference", std::array{of_a, of_b});
    Values y;
    for (std::int64_t s = 0; s < stack.size(); ++s) {
      const auto in_a = static_cast<std::int64_t>(cria::test::broadcast_index(of_a, stack, s));
      const auto in_b = static_cast<std::int64_t>(cria::test::broadcast_index(of_b, stack, s));
      for (std::int64_t i = 0; i < a.dim(-2); ++i) {
        for (std::int64_t j = 0; j < b.dim(-1); ++j) {
          double sum = 0;
          for (std::int64_t k = 0; k < a.dim(-1); ++k) {
            sum += inputs[0][static_cast<std::size_t>((in_a * a.dim(-2) + i) * a.dim(-1) + k)] *
                   inputs[1][static_cast<std::size_t>((in_b * b.dim(-2) + k) * b.dim(-1) + j)];
          }
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
  BOOST_TEST(message({}, {3}) == "matmul: a is []; it must have at least 1 dimension");
  BOOST_TEST(message({2, 3, 4}, {3, 4, 5}) ==
             "matmul: a is [2, 3, 4] and b is [3, 4, 5]; counted from the last, all dimensions but the last "
             "two must be "
             "equal or 1");
  BOOST_TEST(message({2, 3}, {4, 5}) ==
             "matmul: dimensions differ: a is [2, 3], b is [4, 5]; a.dim(-1) = 3 must equal b.dim(-2) = 4");
}

using SixteenBit = std::tuple<bfloat16, float16>;
BOOST_AUTO_TEST_CASE_TEMPLATE(sixteen_bits_are_summed_in_float, T, SixteenBit) {
  const auto ones = [](const Shape& shape) { return Tensor<T>::full(shape, T(1.0f)); };
  // Sums in T would stop at 256 (bfloat16) or 2048 (float16).
  BOOST_TEST(static_cast<float>(cria::matmul(ones({1, 4096}), ones({4096, 1})).item()) == 4096.0f);
}

BOOST_AUTO_TEST_CASE(products_of_vectors_and_stacks) {
  const auto a = Tensor<float>::from({3}, {1, 2, 3}), b = Tensor<float>::from({2}, {4, 5});
  BOOST_TEST(dot(a, a).item() == 14.0f);
  BOOST_TEST(dot(a, a).shape() == Shape({}));
  BOOST_TEST((outer(a, b).to_vector() == std::vector<float>{4, 5, 8, 10, 12, 15}));
  const auto x = Tensor<float>::from({2, 1, 2}, {1, 2, 3, 4}),
             y = Tensor<float>::from({2, 2, 1}, {5, 6, 7, 8});
  BOOST_TEST((bmm(x, y).to_vector() == std::vector<float>{17, 53}));
  BOOST_TEST(error_message<ShapeError>([&] { dot(a, b); }) ==
             "dot: shapes differ: a is [3], b is [2]; they must be equal");
  BOOST_TEST(error_message<ShapeError>([&] { outer(x, b); }) ==
             "outer: a is [2, 1, 2]; it must have 1 dimension");
  BOOST_TEST(error_message<ShapeError>([&] { bmm(a, b); }) == "bmm: a is [3]; it must have 3 dimensions");
}

CRIA_TEST_OPERATION(operation, MatMul)
CRIA_TEST_OPERATION(broadcast, Broadcast)

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
