#include "cria/ops/recurrent.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <tuple>
#include <vector>

#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(recurrent)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;

double logistic(double x) {
  return 1 / (1 + std::exp(-x));
}

/// state weight^T + bias of row b: gate g of element j.
struct OfState {
  const Values& weight;
  const Values& bias;
  std::size_t n;
  double operator()(const Values& state, std::size_t b, std::size_t g, std::size_t j) const {
    double sum = bias[g * n + j];
    for (std::size_t k = 0; k < n; ++k) sum += state[b * n + k] * weight[(g * n + j) * n + k];
    return sum;
  }
};

std::size_t dim(const Shape& shape, int axis) {
  return static_cast<std::size_t>(shape.dim(axis));
}

struct Gru {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Parameter<T>, Parameter<T>, Tensor<T>>;
  static std::vector<Shapes> shapes() {
    return {{{1, 1, 3}, {3, 1}, {3}, {1, 1}},
            {{3, 2, 15}, {15, 5}, {15}, {2, 5}},
            {{2, 3, 102}, {102, 34}, {102}, {3, 34}}};
  }
  static std::int64_t terms(const Shapes& shapes) { return 4 * shapes[0].dim(0) * shapes[1].dim(0); }
  static double input(double normal) { return 0.5 * normal; }
  template <class T>
  static Tensor<T> run(const Tensor<T>& x, const Parameter<T>& weight, const Parameter<T>& bias,
                       const Tensor<T>& h) {
    return gru(x, weight, bias, h);
  }
  static Values reference(const std::vector<Values>& in, const Shapes& shapes) {
    const std::size_t time = dim(shapes[0], 0), batch = dim(shapes[0], 1), n = dim(shapes[3], 1);
    const OfState u{in[1], in[2], n};
    Values h = in[3], y;
    for (std::size_t t = 0; t < time; ++t) {
      Values next = h;
      for (std::size_t b = 0; b < batch; ++b) {
        const double* x = in[0].data() + (t * batch + b) * 3 * n;
        for (std::size_t j = 0; j < n; ++j) {
          const double r = logistic(x[j] + u(h, b, 0, j)), z = logistic(x[n + j] + u(h, b, 1, j));
          next[b * n + j] = (1 - z) * std::tanh(x[2 * n + j] + r * u(h, b, 2, j)) + z * h[b * n + j];
        }
      }
      h = next;
      y.insert(y.end(), h.begin(), h.end());
    }
    return y;
  }
};

/// The sum of each state and the last cell, for the checks are of one tensor.
struct Lstm {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Parameter<T>, Parameter<T>, Tensor<T>, Tensor<T>>;
  static std::vector<Shapes> shapes() {
    return {{{1, 1, 4}, {4, 1}, {4}, {1, 1}, {1, 1}},
            {{3, 2, 20}, {20, 5}, {20}, {2, 5}, {2, 5}},
            {{2, 3, 136}, {136, 34}, {136}, {3, 34}, {3, 34}}};
  }
  static std::int64_t terms(const Shapes& shapes) { return Gru::terms(shapes); }
  static double input(double normal) { return 0.5 * normal; }
  template <class T>
  static Tensor<T> run(const Tensor<T>& x, const Parameter<T>& weight, const Parameter<T>& bias,
                       const Tensor<T>& h, const Tensor<T>& c) {
    const auto [y, last] = lstm(x, weight, bias, h, c);
    return y + last;
  }
  static Values reference(const std::vector<Values>& in, const Shapes& shapes) {
    const std::size_t time = dim(shapes[0], 0), batch = dim(shapes[0], 1), n = dim(shapes[3], 1);
    const OfState u{in[1], in[2], n};
    Values h = in[3], c = in[4], y;
    for (std::size_t t = 0; t < time; ++t) {
      Values next = h;
      for (std::size_t b = 0; b < batch; ++b) {
        const double* x = in[0].data() + (t * batch + b) * 4 * n;
        for (std::size_t j = 0; j < n; ++j) {
          const auto gate = [&](std::size_t g) { return x[g * n + j] + u(h, b, g, j); };
          double& cell = c[b * n + j];
          cell = logistic(gate(1)) * cell + logistic(gate(0)) * std::tanh(gate(2));
          next[b * n + j] = logistic(gate(3)) * std::tanh(cell);
        }
      }
      h = next;
      y.insert(y.end(), h.begin(), h.end());
    }
    for (std::size_t i = 0; i < y.size(); ++i) y[i] += c[i % c.size()];
    return y;
  }
};

}  // namespace

CRIA_TEST_OPERATION(gru_operation, Gru)
CRIA_TEST_OPERATION(lstm_operation, Lstm)

BOOST_AUTO_TEST_CASE(without_gradients_the_states_are_the_same) {
  const auto values = [](const Shape& shape) {
    return Tensor<float>::from(shape, cria::test::rounded<float>(cria::test::normals(shape.size(), 5)));
  };
  Parameter<float> weight({6, 2}), bias({6});
  weight.value().assign(values({6, 2}).to_vector());
  const auto x = values({3, 2, 6}), h = values({2, 2});
  const auto recorded = gru(x, weight, bias, h);
  const NoGrad guard;
  BOOST_TEST((gru(x, weight, bias, h).to_vector() == recorded.to_vector()));
}

BOOST_AUTO_TEST_CASE(shapes_that_do_not_fit_are_named) {
  const auto zeros = [](const Shape& shape) { return Parameter<float>(shape); };
  const auto message = [&](const Shape& x, const Shape& weight, const Shape& bias, const Shape& h) {
    return error_message<ShapeError>(
        [&] { gru<float>(Tensor<float>(zeros(x)), zeros(weight), zeros(bias), Tensor<float>(zeros(h))); });
  };
  BOOST_TEST(message({2, 6}, {6, 2}, {6}, {1, 2}) == "gru: x is [2, 6]; it must have 3 dimensions");
  BOOST_TEST(message({0, 1, 6}, {6, 2}, {6}, {1, 2}) == "gru: x is [0, 1, 6]; at least one step is needed");
  BOOST_TEST(message({2, 1, 6}, {6, 3}, {6}, {1, 2}) ==
             "gru: weight is [6, 3]; weight.dim(0) must be 3 times weight.dim(1)");
  BOOST_TEST(message({2, 1, 5}, {6, 2}, {6}, {1, 2}) ==
             "gru: dimensions differ: x is [2, 1, 5], weight is [6, 2]; x.dim(-1) = 5 must equal "
             "weight.dim(0) = 6");
  BOOST_TEST(message({2, 1, 6}, {6, 2}, {6}, {3, 2}) ==
             "gru: dimensions differ: h is [3, 2], x is [2, 1, 6]; h.dim(0) = 3 must equal x.dim(1) = 1");
  BOOST_TEST(
      message({2, 1, 6}, {6, 2}, {4}, {1, 2}) ==
      "gru: dimensions differ: bias is [4], weight is [6, 2]; bias.dim(0) = 4 must equal weight.dim(0) "
      "= 6");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
