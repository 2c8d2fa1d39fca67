#include "cria/ops/linear.hpp"

#include <boost/test/unit_test.hpp>
#include <tuple>
#include <vector>

#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(linear)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;

struct Linear {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Parameter<T>>;
  static std::vector<Shapes> shapes() {
    return {{{1}, {1, 1}}, {{33}, {5, 33}}, {{0, 3}, {2, 3}}, {{7, 17}, {9, 17}}, {{2, 3, 5}, {36, 5}}};
  }
  static std::int64_t terms(const Shapes& shapes) { return shapes[1].dim(0) + shapes[1].dim(1); }
  template <class T>
  static Tensor<T> run(const Tensor<T>& x, const Parameter<T>& weight) {
    return cria::linear(x, weight);
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const auto out = static_cast<std::size_t>(shapes[1].dim(0)),
               in = static_cast<std::size_t>(shapes[1].dim(1));
    Values y;
    for (std::size_t row = 0; row < inputs[0].size() / in; ++row) {
      for (std::size_t o = 0; o < out; ++o) {
        double sum = 0;
        for (std::size_t i = 0; i < in; ++i) sum += inputs[0][row * in + i] * inputs[1][o * in + i];
        y.push_back(sum);
      }
    }
    return y;
  }
};

struct LinearWithBias {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Parameter<T>, Parameter<T>>;
  static std::vector<Shapes> shapes() {
    return {{{1}, {1, 1}, {1}},
            {{33}, {5, 33}, {5}},
            {{0, 3}, {2, 3}, {2}},
            {{2, 3, 5}, {36, 5}, {36}},
            {{700, 3}, {2, 3}, {2}}};
  }
  static std::int64_t terms(const Shapes& shapes) {
    return Linear::terms(shapes) + shapes[0].leading().size();
  }
  template <class T>
  static Tensor<T> run(const Tensor<T>& x, const Parameter<T>& weight, const Parameter<T>& bias) {
    return cria::linear(x, weight, bias);
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    Values y = Linear::reference(inputs, shapes);
    for (std::size_t i = 0; i < y.size(); ++i) y[i] += inputs[2][i % inputs[2].size()];
    return y;
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(shapes_must_fit) {
  const auto message = [](const Shape& x, const Shape& weight) {
    return error_message<ShapeError>(
        [&] { cria::linear(Tensor<float>::zeros(x), Parameter<float>(weight)); });
  };
  BOOST_TEST(message({}, {2, 3}) == "linear: x is []; it must have at least 1 dimension");
  BOOST_TEST(message({2, 3}, {3}) == "linear: weight is [3]; it must have 2 dimensions");
  BOOST_TEST(message({2, 3}, {3, 4}) ==
             "linear: dimensions differ: x is [2, 3], weight is [3, 4]; x.dim(-1) = 3 must equal "
             "weight.dim(-1) = 4");
  const auto bias = [](const Shape& shape) {
    return error_message<ShapeError>([&] {
      cria::linear(Tensor<float>::zeros({2, 3}), Parameter<float>(Shape{4, 3}), Parameter<float>(shape));
    });
  };
  BOOST_TEST(bias({4, 1}) == "linear: bias is [4, 1]; it must have 1 dimension");
  BOOST_TEST(bias({3}) ==
             "linear: dimensions differ: bias is [3], weight is [4, 3]; bias.dim(0) = 3 must equal "
             "weight.dim(0) = 4");
}

CRIA_TEST_OPERATION(operation, Linear)
CRIA_TEST_OPERATION(with_bias, LinearWithBias)

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
