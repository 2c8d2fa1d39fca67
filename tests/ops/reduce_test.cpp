#include "cria/ops/reduce.hpp"

#include <boost/test/unit_test.hpp>
#include <tuple>
#include <vector>

#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(reduce)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;

struct Whole {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{{}}, {{1}}, {{7, 11}}, {{2, 3, 5, 7}}}; }
  static std::int64_t terms(const Shapes& shapes) { return shapes[0].size(); }
};
struct Sum : Whole {
  static auto run(const auto& x) { return cria::sum(x); }
  static Values reference(const std::vector<Values>& inputs, const Shapes&) {
    double sum = 0;
    for (const double x : inputs[0]) sum += x;
    return {sum};
  }
};
struct Mean : Whole {
  static auto run(const auto& x) { return cria::mean(x); }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    return {Sum::reference(inputs, shapes)[0] / static_cast<double>(inputs[0].size())};
  }
};

template <int axis>
struct Along {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{{3, 4}}, {{5, 1, 7}}, {{2, 3, 4, 5}}, {{2, 33}}}; }
  static std::int64_t terms(const Shapes& shapes) { return shapes[0].dim(axis); }
};
template <int axis>
struct SumAlong : Along<axis> {
  static auto run(const auto& x) { return cria::sum(x, axis); }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const Shape& shape = shapes[0];
    const int first = shape.axis(axis);
    const auto n = static_cast<std::size_t>(shape.dim(first));
    const auto inner = static_cast<std::size_t>(shape.product(first + 1, shape.rank()));
    Values y(inputs[0].size() / n);
    for (std::size_t i = 0; i < inputs[0].size(); ++i) y[i / (n * inner) * inner + i % inner] += inputs[0][i];
    return y;
  }
};
template <int axis>
struct MeanAlong : Along<axis> {
  static auto run(const auto& x) { return cria::mean(x, axis); }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    Values y = SumAlong<axis>::reference(inputs, shapes);
    for (double& value : y) value /= static_cast<double>(shapes[0].dim(axis));
    return y;
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(the_dimension_disappears_from_the_shape) {
  const auto x = Tensor<float>::zeros({2, 3, 4});
  BOOST_TEST(cria::sum(x).shape() == Shape{});
  BOOST_TEST(cria::sum(x, 0).shape() == Shape({3, 4}));
  BOOST_TEST(cria::sum(x, -2).shape() == Shape({2, 4}));
  BOOST_TEST(cria::mean(x, 2).shape() == Shape({2, 3}));
}

BOOST_AUTO_TEST_CASE(the_dimension_must_exist) {
  const auto x = Tensor<float>::zeros({2, 3});
  BOOST_TEST(error_message<ShapeError>([&] { cria::sum(x, 2); }) == "sum: x is [2, 3]; it has no dimension 2");
  BOOST_TEST(error_message<ShapeError>([&] { cria::mean(x, -3); }) == "mean: x is [2, 3]; it has no dimension -3");
}

BOOST_AUTO_TEST_CASE(nothing_sums_to_zero_and_has_no_mean) {
  const auto x = Tensor<float>::zeros({0, 3});
  BOOST_TEST(cria::sum(x).item() == 0.0f);
  BOOST_TEST((cria::sum(x, 0).to_vector() == std::vector<float>{0, 0, 0}));
  BOOST_TEST(error_message<ShapeError>([&] { cria::mean(x); }) ==
             "mean: x is [0, 3]; at least one element is needed");
  BOOST_TEST(error_message<ShapeError>([&] { cria::mean(x, 0); }) ==
             "mean: x is [0, 3]; at least one element is needed");
}

BOOST_AUTO_TEST_CASE(sixteen_bits_are_summed_in_float) {
  BOOST_TEST(cria::sum(Tensor<bfloat16>::full({4096}, bfloat16(1.0f))).item() == 4096.0f);
  BOOST_TEST(cria::sum(Tensor<float16>::full({100, 1000}, float16(1.0f))).item() == 100000.0f);
}

BOOST_AUTO_TEST_CASE(long_float_sums_stay_exact) {
  // One running float sum would be off by 9 %.
  const float sum = cria::sum(Tensor<float>::full({10'000'000}, 0.1f)).item();
  BOOST_TEST(std::abs(sum - 1e6f) < 100.0f);
}

CRIA_TEST_OPERATION(sum, Sum)
CRIA_TEST_OPERATION(mean, Mean)
CRIA_TEST_OPERATION(sum_along_the_first, SumAlong<0>)
CRIA_TEST_OPERATION(sum_along_the_second, SumAlong<1>)
CRIA_TEST_OPERATION(sum_along_the_last, SumAlong<-1>)
CRIA_TEST_OPERATION(mean_along_the_second, MeanAlong<1>)

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
