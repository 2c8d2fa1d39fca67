#include "cria/ops/elementwise.hpp"

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <tuple>
#include <vector>

#include "support/error_message.hpp"
#include "support/op_case.hpp"
#include "support/threads.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(elementwise)

namespace {

using namespace cria;
using cria::test::broadcast_index;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;

double away_from_zero(double x) {
  return x + std::copysign(0.5, x);
}

/// Operation::f takes tensors, which is what is tested, and doubles, which is the reference.
template <class Operation>
struct Unary {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{{}}, {{1}}, {{0, 3}}, {{7}}, {{130}}, {{2, 3, 11}}}; }
  static std::int64_t terms(const Shapes&) { return 4; }
  static double input(double x) { return away_from_zero(x); }
  template <class T>
  static Tensor<T> run(const Tensor<T>& x) {
    return Operation::f(x);
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes&) {
    Values y;
    for (const double x : inputs[0]) y.push_back(Operation::f(x));
    return y;
  }
};
template <class Operation>
struct Binary {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Tensor<T>>;
  static std::vector<Shapes> shapes() {
    return {{{}, {}},
            {{0}, {0}},
            {{1}, {1}},
            {{2, 1, 65}, {2, 1, 65}},
            {{5, 7}, {7}},              // rows
            {{4, 1}, {4, 5}},           // columns
            {{}, {2, 3}},               // a number
            {{3, 1, 4}, {2, 1}},        // both are repeated
            {{2, 1, 3, 1}, {5, 1, 2}},  // dimension by dimension
            {{3, 1100}, {1100}},        // a row longer than a block
            {{0, 3}, {3}},              // nothing to sum up
            {{5, 7}, {5, 7}}};
  }
  static std::int64_t terms(const Shapes&) { return 4; }
  static double input(double x) { return away_from_zero(x); }
  template <class T>
  static Tensor<T> run(const Tensor<T>& a, const Tensor<T>& b) {
    return Operation::f(a, b);
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const Shape result = broadcast_shape("reference", std::array{shapes[0], shapes[1]});
    Values y;
    for (std::int64_t i = 0; i < result.size(); ++i) {
      y.push_back(Operation::f(inputs[0][broadcast_index(shapes[0], result, i)],
                               inputs[1][broadcast_index(shapes[1], result, i)]));
    }
    return y;
  }
};

struct Add : Binary<Add> {
  static auto f(const auto& a, const auto& b) { return a + b; }
};
struct Subtract : Binary<Subtract> {
  static auto f(const auto& a, const auto& b) { return a - b; }
};
struct Multiply : Binary<Multiply> {
  static auto f(const auto& a, const auto& b) { return a * b; }
};
struct Divide : Binary<Divide> {
  static auto f(const auto& a, const auto& b) { return a / b; }
};
struct SwiGlu : Binary<SwiGlu> {
  template <class T>
  static Tensor<T> f(const Tensor<T>& gate, const Tensor<T>& up) {
    return cria::swiglu(gate, up);
  }
  static double f(double gate, double up) { return gate / (1 + std::exp(-gate)) * up; }
};

struct NumberMinus : Unary<NumberMinus> {
  static auto f(const auto& x) { return 0.75f - x; }
};
struct NumberOver : Unary<NumberOver> {
  static auto f(const auto& x) { return 0.75f / x; }
};
struct Square : Unary<Square> {
  template <class T>
  static Tensor<T> f(const Tensor<T>& x) {
    return cria::square(x);
  }
  static double f(double x) { return x * x; }
};
struct Exp : Unary<Exp> {
  template <class T>
  static Tensor<T> f(const Tensor<T>& x) {
    return cria::exp(x);
  }
  static double f(double x) { return std::exp(x); }
};
struct Log : Unary<Log> {
  static double input(double x) { return std::abs(away_from_zero(x)); }
  template <class T>
  static Tensor<T> f(const Tensor<T>& x) {
    return cria::log(x);
  }
  static double f(double x) { return std::log(x); }
};
struct Relu : Unary<Relu> {
  template <class T>
  static Tensor<T> f(const Tensor<T>& x) {
    return cria::relu(x);
  }
  static double f(double x) { return std::max(x, 0.0); }
};
struct Silu : Unary<Silu> {
  template <class T>
  static Tensor<T> f(const Tensor<T>& x) {
    return cria::silu(x);
  }
  static double f(double x) { return x / (1 + std::exp(-x)); }
};

}  // namespace

BOOST_AUTO_TEST_CASE(shapes_must_fit_together) {
  const auto a = Tensor<float>::zeros({2, 3}), b = Tensor<float>::zeros({3, 2});
  const auto message = [](const char* op) {
    return std::string(op) +
           ": shapes [2, 3] and [3, 2] do not fit together; counted from the last, dimensions must be equal "
           "or 1";
  };
  BOOST_TEST(error_message<ShapeError>([&] { a + b; }) == message("add"));
  BOOST_TEST(error_message<ShapeError>([&] { a - b; }) == message("subtract"));
  BOOST_TEST(error_message<ShapeError>([&] { a* b; }) == message("multiply"));
  BOOST_TEST(error_message<ShapeError>([&] { a / b; }) == message("divide"));
  BOOST_TEST(error_message<ShapeError>([&] { cria::swiglu(a, b); }) == message("swiglu"));
}

BOOST_AUTO_TEST_CASE(numbers_may_stand_on_either_side) {
  const auto check = [](auto f, Values want, double derivative) {
    auto x = Tensor<double>::from({2}, {4, -8}).set_requires_grad();
    const auto y = f(x);
    BOOST_TEST((y.to_vector() == want));
    backward(sum(y));
    BOOST_TEST((x.grad().to_vector() == Values(2, derivative)));
  };
  check([](const auto& x) { return x + 3; }, {7, -5}, 1);
  check([](const auto& x) { return 3 + x; }, {7, -5}, 1);
  check([](const auto& x) { return x - 3; }, {1, -11}, 1);
  check([](const auto& x) { return 3 - x; }, {-1, 11}, -1);
  check([](const auto& x) { return -x; }, {-4, 8}, -1);
  check([](const auto& x) { return x * 3; }, {12, -24}, 3);
  check([](const auto& x) { return 3 * x; }, {12, -24}, 3);
  check([](const auto& x) { return x / 2; }, {2, -4}, 0.5);
}

BOOST_AUTO_TEST_CASE(a_tensor_may_be_both_operands) {
  auto x = Tensor<float>::from({3}, {1, -2, 3}).set_requires_grad();
  backward(sum(x * x));
  BOOST_TEST((x.grad().to_vector() == std::vector<float>{2, -4, 6}));
  x.clear_grad();
  backward(sum(x - x));
  BOOST_TEST((x.grad().to_vector() == std::vector<float>{0, 0, 0}));
}

BOOST_AUTO_TEST_CASE(silu_keeps_the_ends_of_the_range) {
  const auto y = cria::silu(Tensor<float>::from({4}, {-1e30f, -200, 200, 1e30f})).to_vector();
  BOOST_TEST(y[0] == 0.0f);
  BOOST_TEST(y[1] == 0.0f);
  BOOST_TEST(y[2] == 200.0f);
  BOOST_TEST(y[3] == 1e30f);
}

BOOST_AUTO_TEST_CASE(relu_has_derivative_zero_at_zero) {
  auto x = Tensor<float>::from({3}, {-1, 0, 1}).set_requires_grad();
  backward(sum(cria::relu(x)));
  BOOST_TEST((x.grad().to_vector() == std::vector<float>{0, 0, 1}));
}

BOOST_AUTO_TEST_CASE(threads_do_not_matter) {
  const Shape shape{100001};
  cria::test::check_threads_do_not_matter([&] {
    auto gate = Tensor<float>::from(shape, cria::test::rounded<float>(cria::test::normals(shape.size(), 1)));
    auto up = Tensor<float>::from(shape, cria::test::rounded<float>(cria::test::normals(shape.size(), 2)));
    gate.set_requires_grad();
    const auto y = cria::swiglu(cria::exp(gate), up);
    backward(sum(y));
    Values all = cria::test::to_values(y);
    const Values gradient = cria::test::to_values(gate.grad());
    all.insert(all.end(), gradient.begin(), gradient.end());
    return all;
  });
}

BOOST_AUTO_TEST_CASE(far_from_zero_swiglu_is_linear_or_nothing) {
  for (const float size : {100.1f, 1234.567f, 1e8f, 1e30f}) {
    for (const float sign : {1.0f, -1.0f}) {
      const auto gate = Tensor<float>::full({37}, sign * size).set_requires_grad();
      const auto up = Tensor<float>::full({37}, 0.75f).set_requires_grad();
      backward(sum(cria::swiglu(gate, up)));
      const float slope = sign > 0 ? 1.0f : 0.0f;
      BOOST_TEST((gate.grad().to_vector() == std::vector<float>(37, slope * 0.75f)));
      BOOST_TEST((up.grad().to_vector() == std::vector<float>(37, slope * size)));
    }
  }
}

CRIA_TEST_OPERATION(add, Add)
CRIA_TEST_OPERATION(subtract, Subtract)
CRIA_TEST_OPERATION(multiply, Multiply)
CRIA_TEST_OPERATION(divide, Divide)
CRIA_TEST_OPERATION(swiglu, SwiGlu)
CRIA_TEST_OPERATION(number_minus, NumberMinus)
CRIA_TEST_OPERATION(number_over, NumberOver)
CRIA_TEST_OPERATION(square, Square)
CRIA_TEST_OPERATION(exp, Exp)
CRIA_TEST_OPERATION(log, Log)
CRIA_TEST_OPERATION(relu, Relu)
CRIA_TEST_OPERATION(silu, Silu)

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
