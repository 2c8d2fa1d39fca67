#include "cria/ops/cast.hpp"

#include <boost/test/unit_test.hpp>
#include <tuple>
#include <vector>

#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(cast)

namespace {

using namespace cria;
using cria::test::Shapes;
using cria::test::Values;

/// To float and back; the casts between 16 bits are below.
struct ThroughFloat {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{{}}, {{0}}, {{7}}, {{3, 65}}}; }
  static std::int64_t terms(const Shapes&) { return 1; }
  template <class T>
  static Tensor<T> run(const Tensor<T>& x) {
    if constexpr (std::is_same_v<T, double>) return cria::cast<double>(x);  // float would round
    return cria::cast<T>(cria::cast<float>(x));
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes&) { return inputs[0]; }
};

}  // namespace

BOOST_AUTO_TEST_CASE(values_are_rounded_to_nearest_even) {
  const auto x = Tensor<float>::from({4}, {1 + 0x1p-8f, 1 + 3 * 0x1p-8f, 1 + 0x1p-11f, 1e30f});
  const auto b = cria::test::to_values(cria::cast<bfloat16>(x));
  const auto h = cria::test::to_values(cria::cast<float16>(x));
  BOOST_TEST(b[0] == 1.0);
  BOOST_TEST(b[1] == 1 + 0x1p-6);
  BOOST_TEST(h[2] == 1.0);
  BOOST_TEST(std::isinf(h[3]));
  BOOST_TEST(cria::cast<float>(Tensor<double>::scalar(0.1)).item() == 0.1f);
}

BOOST_AUTO_TEST_CASE(the_gradient_has_the_type_of_the_input) {
  auto x = Tensor<bfloat16>::from({2}, {bfloat16(1), bfloat16(2)}).set_requires_grad();
  const auto y = cria::cast<double>(x);
  backward(sum(y * Tensor<double>::from({2}, {0.5, -3.0})));
  BOOST_TEST((cria::test::to_values(x.grad()) == Values{0.5, -3.0}));
  auto half = Tensor<float16>::from({1}, {float16(3)}).set_requires_grad();
  backward(sum(cria::cast<bfloat16>(half)));
  BOOST_TEST((cria::test::to_values(half.grad()) == Values{1.0}));
}

CRIA_TEST_OPERATION(through_float, ThroughFloat)

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
