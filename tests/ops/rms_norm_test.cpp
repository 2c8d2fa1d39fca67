#include "cria/ops/rms_norm.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <tuple>
#include <vector>

#include "support/error_message.hpp"
#include "support/op_case.hpp"
#include "support/threads.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(rms_norm)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;

struct RmsNorm {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Parameter<T>>;
  static std::vector<Shapes> shapes() {
    return {
        {{1}, {1}},         {{33}, {33}},      {{0, 4}, {4}},      {{5, 7}, {7}}, {{2, 3, 67}, {67}},
        {{17, 288}, {288}}, {{2, 520}, {520}}, {{2, 1032}, {1032}}};  // rows that a warp of a GPU keeps in registers, and longer ones
  }
  static std::int64_t terms(const Shapes& shapes) { return shapes[1].size(); }
  template <class T>
  static Tensor<T> run(const Tensor<T>& x, const Parameter<T>& weight) {
    return cria::rms_norm(x, weight, 0.25f);
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes&) {
    const auto& [x, weight] = std::tie(inputs[0], inputs[1]);
    const std::size_t n = weight.size();
    Values y;
    for (std::size_t i = 0; i < x.size(); ++i) {
      double squares = 0;
      for (std::size_t j = i / n * n; j < (i / n + 1) * n; ++j) squares += x[j] * x[j];
      y.push_back(x[i] / std::sqrt(squares / static_cast<double>(n) + 0.25) * weight[i % n]);
    }
    return y;
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(weight_must_have_the_size_of_the_last_dimension) {
  const auto x = Tensor<float>::zeros({2, 3});
  BOOST_TEST(
      error_message<ShapeError>([&] { cria::rms_norm(x, Parameter<float>({4})); }) ==
      "rms_norm: dimensions differ: x is [2, 3], weight is [4]; x.dim(-1) = 3 must equal weight.dim(0) = 4");
  BOOST_TEST(error_message<ShapeError>([&] {
               cria::rms_norm(x, Parameter<float>({1, 3}));
             }) == "rms_norm: weight is [1, 3]; it must have 1 dimension");
  BOOST_TEST(error_message<ShapeError>([&] {
               cria::rms_norm(Tensor<float>::scalar(1), Parameter<float>({1}));
             }) == "rms_norm: x is []; it must have at least 1 dimension");
}

template <class T>
void check_norm_of_a_sum() {
  for (const Shape& shape : {Shape{3, 67}, Shape{2, 3, 32}, Shape{0, 8}}) {
    Parameter<T> weight({shape.dim(-1)}), same_weight({shape.dim(-1)});
    for (auto* each : {&weight, &same_weight}) {
      each->value().assign(cria::test::rounded<T>(cria::test::normals(each->size(), 3)));
    }
    const auto tensor = [&](unsigned seed) {
      auto x = Tensor<T>::from(shape, cria::test::rounded<T>(cria::test::normals(shape.size(), seed)));
      x.set_requires_grad();
      return x;
    };
    const auto a = tensor(1), b = tensor(2), same_a = tensor(1), same_b = tensor(2);
    const auto [sum_of_both, y] = cria::add_rms_norm(a, b, weight, 0.25f);
    const auto separate_sum = same_a + same_b;
    const auto separate_y = cria::rms_norm(separate_sum, same_weight, 0.25f);
    const auto bits = [](const auto& x) { return cria::test::to_values(x); };
    BOOST_TEST((bits(sum_of_both) == bits(separate_sum)));
    BOOST_TEST((bits(y) == bits(separate_y)));
    backward(sum(square(sum_of_both)) + sum(square(y)));
    backward(sum(square(separate_sum)) + sum(square(separate_y)));
    BOOST_TEST((bits(a.grad()) == bits(same_a.grad())));
    BOOST_TEST((bits(b.grad()) == bits(same_b.grad())));
    BOOST_TEST((bits(weight.grad()) == bits(same_weight.grad())));
  }
}

BOOST_AUTO_TEST_CASE(the_norm_of_a_sum_is_the_sum_and_then_the_norm_bit_for_bit) {
  check_norm_of_a_sum<float>();
  check_norm_of_a_sum<bfloat16>();
}

BOOST_AUTO_TEST_CASE(terms_of_a_normed_sum_have_the_same_shape) {
  BOOST_TEST(
      error_message<ShapeError>([] {
        cria::add_rms_norm(Tensor<float>::zeros({2, 3}), Tensor<float>::zeros({1, 3}), Parameter<float>({3}));
      }) == "add_rms_norm: shapes differ: a is [2, 3], b is [1, 3]; they must be equal");
}

BOOST_AUTO_TEST_CASE(zeros_stay_zero) {
  Parameter<float> weight({3});
  weight.value().assign(std::vector<float>{1, 2, 3});
  const auto y = cria::rms_norm(Tensor<float>::zeros({2, 3}), weight);
  for (const float value : y.to_vector()) BOOST_TEST(value == 0.0f);
}

BOOST_AUTO_TEST_CASE(threads_do_not_matter) {
  const Shape shape{301, 257};
  cria::test::check_threads_do_not_matter([&] {
    auto x = Tensor<float>::from(shape, cria::test::rounded<float>(cria::test::normals(shape.size(), 1)));
    Parameter<float> weight({257});
    weight.value().assign(cria::test::rounded<float>(cria::test::normals(257, 2)));
    x.set_requires_grad();
    backward(sum(cria::square(cria::rms_norm(x, weight))));
    Values all = cria::test::to_values(x.grad());
    const Values gradient = cria::test::to_values(weight.grad());
    all.insert(all.end(), gradient.begin(), gradient.end());
    return all;
  });
}

CRIA_TEST_OPERATION(operation, RmsNorm)

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
