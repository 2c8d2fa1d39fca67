#include "cria/ops/reshape.hpp"

#include <boost/test/unit_test.hpp>
#include <tuple>
#include <vector>

#include "cria/ops/rearrange.hpp"
#include "cria/ops/reduce.hpp"
#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(reshape)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;

struct Reshape {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{{}}, {{0, 3}}, {{7}}, {{2, 3, 11}}}; }
  static std::int64_t terms(const Shapes&) { return 1; }
  static auto run(const auto& x) { return cria::reshape(x, {1, x.size(), 1}); }
  static Values reference(const std::vector<Values>& inputs, const Shapes&) { return inputs[0]; }
};

template <int axis_a, int axis_b>
struct Transpose {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{{1, 1, 1}}, {{2, 0, 3}}, {{3, 5, 7}}, {{2, 3, 4, 5}}}; }
  static std::int64_t terms(const Shapes&) { return 1; }
  static auto run(const auto& x) { return cria::transpose(x, axis_a, axis_b); }
  /// By the index of every element of the result.
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const Shape& from = shapes[0];
    const int a = from.axis(axis_a), b = from.axis(axis_b);
    const Shape to = from.with_dim(a, from.dim(b)).with_dim(b, from.dim(a));
    Values y;
    for (std::int64_t i = 0; i < to.size(); ++i) {
      std::vector<std::int64_t> index;
      for (int axis = 0; axis < to.rank(); ++axis)
        index.push_back(i / to.product(axis + 1, to.rank()) % to.dim(axis));
      std::swap(index[static_cast<std::size_t>(a)], index[static_cast<std::size_t>(b)]);
      std::int64_t source = 0;
      for (int axis = 0; axis < from.rank(); ++axis) {
        source = source * from.dim(axis) + index[static_cast<std::size_t>(axis)];
      }
      y.push_back(inputs[0][static_cast<std::size_t>(source)]);
    }
    return y;
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(reshape_shares_the_memory) {
  auto x = Tensor<float>::zeros({2, 3});
  const auto y = cria::reshape(x, {6});
  BOOST_TEST(y.shape() == Shape({6}));
  x.assign(std::vector<float>{1, 2, 3, 4, 5, 6});
  BOOST_TEST((y.to_vector() == std::vector<float>{1, 2, 3, 4, 5, 6}));
}

BOOST_AUTO_TEST_CASE(the_number_of_elements_must_stay_the_same) {
  BOOST_TEST(error_message<ShapeError>([] {
               cria::reshape(Tensor<float>::zeros({2, 3}), {7});
             }) == "reshape: sizes differ: x is [2, 3], shape is [7]; 6 elements must equal 7");
}

BOOST_AUTO_TEST_CASE(one_dimension_may_follow_from_the_others) {
  const auto x = Tensor<float>::zeros({2, 3, 4});
  BOOST_TEST(cria::reshape(x, {-1}).shape() == Shape({24}));
  BOOST_TEST(cria::reshape(x, {-1, 8}).shape() == Shape({3, 8}));
  BOOST_TEST(cria::reshape(x, {x.dim(0), std::size_t{3}, -1, 2}).shape() == Shape({2, 3, 2, 2}));
  BOOST_TEST(cria::reshape(Tensor<float>::scalar(1), {}).shape() == Shape());
  BOOST_TEST(cria::reshape(Tensor<float>::zeros({0, 3}), {-1, 3}).shape() == Shape({0, 3}));
  auto leaf = Tensor<double>::from({4}, {1, 2, 3, 4}).set_requires_grad();
  backward(sum(cria::reshape(leaf, {2, -1}) * Tensor<double>::from({2, 2}, {1, 2, 3, 4})));
  BOOST_TEST((leaf.grad().to_vector() == Values{1, 2, 3, 4}));
  const auto message = [&](auto reshaped) { return error_message<ShapeError>(reshaped); };
  BOOST_TEST(message([&] {
               cria::reshape(x, {-1, 2, -1});
             }) == "reshape: several dimensions are -1; at most one may be");
  BOOST_TEST(message([&] {
               cria::reshape(x, {5, -1});
             }) ==
             "reshape: x is [2, 3, 4] and the dimensions beside -1 make 5; 24 elements must be a multiple of "
             "that");
  BOOST_TEST(message([&] {
               cria::reshape(x, {-1, 0});
             }) ==
             "reshape: x is [2, 3, 4] and the dimensions beside -1 make 0; 24 elements must be a multiple of "
             "that");
  BOOST_TEST(message([&] { cria::reshape(x, {-2, 12}); }) == "Shape: dimension -2 is negative");
}

BOOST_AUTO_TEST_CASE(transposed_dimensions_must_exist) {
  const auto x = Tensor<float>::zeros({2, 3});
  BOOST_TEST(error_message<ShapeError>([&] { cria::transpose(x, 0, 2); }) ==
             "transpose: x is [2, 3]; it has no dimension 2");
  BOOST_TEST(error_message<ShapeError>([&] { cria::transpose(x, -3, 0); }) ==
             "transpose: x is [2, 3]; it has no dimension -3");
}

BOOST_AUTO_TEST_CASE(transposing_a_dimension_with_itself_changes_nothing) {
  const auto x = Tensor<float>::from({2, 2}, {1, 2, 3, 4});
  BOOST_TEST((cria::transpose(x, 1, -1).to_vector() == x.to_vector()));
}

BOOST_AUTO_TEST_CASE(transposing_swaps_the_shape) {
  BOOST_TEST(cria::transpose(Tensor<float>::zeros({2, 3, 4}), 0, -1).shape() == Shape({4, 3, 2}));
}

BOOST_AUTO_TEST_CASE(dimensions_of_one_come_and_go) {
  const auto x = Tensor<float>::zeros({2, 3});
  BOOST_TEST(cria::unsqueeze(x, 0).shape() == Shape({1, 2, 3}));
  BOOST_TEST(cria::unsqueeze(x, -1).shape() == Shape({2, 3, 1}));
  BOOST_TEST(cria::unsqueeze(x, -2).shape() == Shape({2, 1, 3}));
  BOOST_TEST(cria::squeeze(cria::unsqueeze(x, 1), 1).shape() == x.shape());
  BOOST_TEST(error_message<ShapeError>([&] { cria::unsqueeze(x, 3); }) ==
             "unsqueeze: x is [2, 3]; there is no place for a dimension 3");
  BOOST_TEST(error_message<ShapeError>([&] { cria::squeeze(x, 0); }) ==
             "squeeze: x is [2, 3]; dimension 0 must be 1");
  BOOST_TEST(error_message<ShapeError>([&] { cria::squeeze(x, 2); }) ==
             "squeeze: x is [2, 3]; it has no dimension 2");
}

BOOST_AUTO_TEST_CASE(dimensions_are_joined) {
  const auto x = Tensor<float>::zeros({2, 3, 4, 5});
  BOOST_TEST(cria::flatten(x).shape() == Shape({120}));
  BOOST_TEST(cria::flatten(x, 1).shape() == Shape({2, 60}));
  BOOST_TEST(cria::flatten(x, 1, -2).shape() == Shape({2, 12, 5}));
  BOOST_TEST(cria::flatten(Tensor<float>::scalar(1)).shape() == Shape({1}));
  BOOST_TEST(error_message<ShapeError>([&] { cria::flatten(x, 2, 1); }) ==
             "flatten: x is [2, 3, 4, 5]; dimension 2 must not come after dimension 1");
}

using First = Transpose<0, 1>;
using Middle = Transpose<2, 1>;
using Outer = Transpose<0, -1>;

CRIA_TEST_OPERATION(to_one_column, Reshape)
CRIA_TEST_OPERATION(transpose_first_two, First)
CRIA_TEST_OPERATION(transpose_second_and_third, Middle)
CRIA_TEST_OPERATION(transpose_first_and_last, Outer)

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
