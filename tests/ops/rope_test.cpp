#include "cria/ops/rope.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <complex>
#include <tuple>
#include <vector>

#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(rope)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;

template <int start>
struct Rope {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() {
    return {{{1, 1, 1, 2}}, {{2, 0, 1, 4}}, {{1, 3, 2, 36}}, {{3, 33, 3, 6}}};
  }
  static std::int64_t terms(const Shapes&) { return 4; }
  template <class T>
  static Tensor<T> run(const Tensor<T>& x) {
    return cria::rope(x, start, 500.0f);
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const auto length = static_cast<std::size_t>(shapes[0].dim(1)),
               heads = static_cast<std::size_t>(shapes[0].dim(2));
    const auto dim = static_cast<std::size_t>(shapes[0].dim(3));
    Values y = inputs[0];
    for (std::size_t head = 0; head < y.size(); head += dim) {
      const auto position = static_cast<double>(start) + static_cast<double>(head / dim / heads % length);
      for (std::size_t d = 0; d < dim / 2; ++d) {
        const double angle =
            position * std::pow(500.0, -2.0 * static_cast<double>(d) / static_cast<double>(dim));
        const auto turned = std::complex(y[head + d], y[head + d + dim / 2]) * std::polar(1.0, angle);
        y[head + d] = turned.real();
        y[head + d + dim / 2] = turned.imag();
      }
    }
    return y;
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(shapes_must_have_four_dimensions_the_last_even) {
  BOOST_TEST(error_message<ShapeError>([] {
               cria::rope(Tensor<float>::zeros({2, 3, 4}));
             }) == "rope: x is [2, 3, 4]; it must have 4 dimensions");
  BOOST_TEST(error_message<ShapeError>([] {
               cria::rope(Tensor<float>::zeros({1, 2, 3, 5}));
             }) == "rope: x is [1, 2, 3, 5]; x.dim(-1) = 5 must be a multiple of the pair size = 2");
}

BOOST_AUTO_TEST_CASE(a_sequence_can_be_rotated_in_pieces) {
  const auto values = cria::test::rounded<float>(cria::test::normals(6 * 8, 1));
  const auto whole = cria::rope(Tensor<float>::from({1, 6, 2, 4}, values)).to_vector();
  const auto tail =
      cria::rope(Tensor<float>::from({1, 2, 2, 4}, std::span(values).subspan(32)), 4).to_vector();
  BOOST_TEST((std::vector<float>(whole.begin() + 32, whole.end()) == tail));
}

BOOST_AUTO_TEST_CASE(queries_and_keys_are_rotated_together_as_alone) {
  const auto tensor = [](const Shape& shape, unsigned seed) {
    auto x = Tensor<float>::from(shape, cria::test::rounded<float>(cria::test::normals(shape.size(), seed)));
    x.set_requires_grad();
    return x;
  };
  const auto q = tensor({2, 5, 4, 6}, 1), k = tensor({2, 5, 2, 6}, 2);
  const auto same_q = tensor({2, 5, 4, 6}, 1), same_k = tensor({2, 5, 2, 6}, 2);
  const auto [rotated_q, rotated_k] = cria::rope(q, k, 3, 500.0f);
  const auto alone_q = cria::rope(same_q, 3, 500.0f), alone_k = cria::rope(same_k, 3, 500.0f);
  BOOST_TEST((rotated_q.to_vector() == alone_q.to_vector()));
  BOOST_TEST((rotated_k.to_vector() == alone_k.to_vector()));
  backward(sum(square(rotated_q)) + sum(cria::exp(rotated_k)));
  backward(sum(square(alone_q)) + sum(cria::exp(alone_k)));
  BOOST_TEST((q.grad().to_vector() == same_q.grad().to_vector()));
  BOOST_TEST((k.grad().to_vector() == same_k.grad().to_vector()));
}

BOOST_AUTO_TEST_CASE(one_of_two_outputs_is_enough_for_a_gradient) {
  auto q = Tensor<float>::full({1, 3, 2, 4}, 0.5f), k = Tensor<float>::full({1, 3, 1, 4}, 0.25f);
  q.set_requires_grad();
  k.set_requires_grad();
  backward(sum(square(cria::rope(q, k).second)));
  BOOST_TEST(!q.grad().defined());
  // A rotation keeps lengths, so that the gradient is 2 k whatever the angle.
  for (const float value : k.grad().to_vector())
    BOOST_TEST(value == 0.5f, boost::test_tools::tolerance(1e-5f));
}

BOOST_AUTO_TEST_CASE(queries_and_keys_have_the_same_positions_and_dimension) {
  BOOST_TEST(
      error_message<ShapeError>([] {
        cria::rope(Tensor<float>::zeros({1, 2, 3, 4}), Tensor<float>::zeros({1, 2, 3, 6}));
      }) ==
      "rope: dimensions differ: q is [1, 2, 3, 4], k is [1, 2, 3, 6]; q.dim(3) = 4 must equal k.dim(3) = 6");
}

CRIA_TEST_OPERATION(from_the_start, Rope<0>)
CRIA_TEST_OPERATION(from_a_later_position, Rope<7>)

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
