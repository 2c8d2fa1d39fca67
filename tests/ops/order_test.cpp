#include "cria/ops/order.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <tuple>
#include <vector>

#include "cria/ops/reduce.hpp"
#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(order)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;
using Floats = std::vector<float>;
using Ints = std::vector<std::int32_t>;

struct Running {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{{7}}, {{3, 0}}, {{2, 5, 3}}, {{2, 1}}, {{3, 40}}}; }
  static std::int64_t terms(const Shapes& shapes) { return shapes[0].size() + 1; }
  static int axis(const Shape& shape) { return shape.rank() == 1 ? 0 : 1; }
  static auto run(const auto& x) { return cumsum(x, axis(x.shape())); }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const std::int64_t n = shapes[0].dim(axis(shapes[0]));
    const auto inner = static_cast<std::size_t>(shapes[0].product(axis(shapes[0]) + 1, shapes[0].rank()));
    Values y = inputs[0];
    for (std::size_t i = inner; i < y.size(); ++i) {
      if (static_cast<std::int64_t>(i / inner) % n != 0) y[i] += y[i - inner];
    }
    return y;
  }
};
struct Ordered {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{{7}}, {{2, 33}}, {{2, 3, 4}}}; }
  static std::int64_t terms(const Shapes&) { return 1; }
  static auto run(const auto& x) { return topk(x, 4).values; }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    Values y;
    const std::int64_t n = shapes[0].dim(-1);
    for (auto row = inputs[0].begin(); row != inputs[0].end(); row += n) {
      Values all(row, row + n);
      std::stable_sort(all.begin(), all.end(),
                       [](double a, double b) { return a > b || (a != a && b == b); });
      y.insert(y.end(), all.begin(), all.begin() + 4);
    }
    return y;
  }
};

}  // namespace

CRIA_TEST_OPERATION(running, Running)
CRIA_TEST_OPERATION(ordered, Ordered)

BOOST_AUTO_TEST_CASE(rows_are_sorted_and_their_places_known) {
  const auto x = Tensor<float>::from({2, 4}, {3, 1, 2, 1, 0, std::nanf(""), -1, 5});
  const auto up = cria::sort(x), down = cria::sort(x, {.descending = true});
  BOOST_TEST((up.indices.to_vector() == Ints{1, 3, 2, 0, 2, 0, 3, 1}));
  BOOST_TEST((down.indices.to_vector() == Ints{0, 2, 1, 3, 1, 3, 0, 2}));
  BOOST_TEST(up.values.to_vector()[3] == 3.0f);
  BOOST_TEST((topk(x, 1, {.largest = false}).indices.to_vector() == Ints{1, 2}));
  BOOST_TEST((topk(Tensor<std::int32_t>::from({3}, {5, 9, 7}), 2).values.to_vector() == Ints{9, 7}));
  BOOST_TEST(topk(x, 0).values.shape() == Shape({2, 0}));
}

BOOST_AUTO_TEST_CASE(integers_and_masks_are_summed_exactly) {
  const auto x = Tensor<std::int32_t>::from({2, 3}, {2000000000, 2000000000, -1, 1, 2, 3});
  BOOST_TEST(
      (cumsum(x, -1).to_vector() == std::vector<std::int64_t>{2000000000, 4000000000, 3999999999, 1, 3, 6}));
  BOOST_TEST((cumsum(x > 1, 0).to_vector() == std::vector<std::int64_t>{1, 1, 0, 1, 2, 1}));
}

BOOST_AUTO_TEST_CASE(gradients_go_to_where_elements_were) {
  auto x = Tensor<float>::from({3}, {3, 1, 2}).set_requires_grad();
  backward(sum(cria::sort(x).values * Tensor<float>::from({3}, {10, 20, 30})));
  BOOST_TEST((x.grad().to_vector() == Floats{30, 10, 20}));
}

BOOST_AUTO_TEST_CASE(a_row_must_have_as_many) {
  const auto x = Tensor<float>::zeros({2, 3});
  BOOST_TEST(error_message<ShapeError>([&] { topk(x, 4); }) ==
             "topk: x is [2, 3] and count is 4; it must be in [0, 3]");
  BOOST_TEST(error_message<ShapeError>([&] { cria::sort(Tensor<float>::scalar(1)); }) ==
             "sort: x is []; it must have at least 1 dimension");
  BOOST_TEST(error_message<ShapeError>([&] { cumsum(x, 2); }) ==
             "cumsum: x is [2, 3]; it has no dimension 2");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
