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

CRIA_TEST_OPERATION(from_the_start, Rope<0>)
CRIA_TEST_OPERATION(from_a_later_position, Rope<7>)

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
