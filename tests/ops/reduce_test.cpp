#include "cria/ops/reduce.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(reduce)

namespace {

using namespace cria;
using cria::test::broadcast_index;
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

/// A reduction over some dimensions, for the reference the elements of each group in order.
template <class Reduction>
struct Along {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() {
    return {{{3, 4}}, {{5, 1, 7}}, {{2, 33, 3}}, {{2, 3, 4, 5}}, {{2, 1100}}};
  }
  static std::int64_t terms(const Shapes& shapes) { return shapes[0].size(); }
  static auto run(const auto& x) { return Reduction::run(x, axes(x.shape())); }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const auto gone = axes(shapes[0]).of("reference", shapes[0]);
    Shape kept = shapes[0];
    for (int axis = 0; axis < kept.rank(); ++axis) {
      if (gone[static_cast<std::size_t>(axis)]) kept = kept.with_dim(axis, 1);
    }
    std::vector<Values> groups(static_cast<std::size_t>(kept.size()));
    for (std::int64_t i = 0; i < shapes[0].size(); ++i) {
      groups[broadcast_index(kept, shapes[0], i)].push_back(inputs[0][static_cast<std::size_t>(i)]);
    }
    Values y;
    for (const Values& group : groups) y.push_back(Reduction::of(group));
    return y;
  }

 private:
  /// The last dimension of two, the first and last of three, the middle ones of four: what is kept and what
  /// is not lie in every order.
  static Axes axes(const Shape& shape) {
    if (shape.rank() == 4) return {1, -2};
    if (shape.rank() == 3) return {0, 2};
    return -1;
  }
};
double total(const Values& values) {
  double sum = 0;
  for (const double x : values) sum += x;
  return sum;
}
double average(const Values& values) {
  return total(values) / static_cast<double>(values.size());
}
double spread(const Values& values) {
  double sum = 0;
  for (const double x : values) sum += (x - average(values)) * (x - average(values));
  return sum / static_cast<double>(values.size() - 1);
}
struct SumAlong {
  static auto run(const auto& x, const Axes& axes) { return cria::sum(x, axes); }
  static double of(const Values& values) { return total(values); }
};
struct MeanAlong {
  static auto run(const auto& x, const Axes& axes) { return cria::mean(x, axes, {.keepdim = true}); }
  static double of(const Values& values) { return average(values); }
};
struct MaxAlong {
  static auto run(const auto& x, const Axes& axes) { return cria::max(x, axes); }
  static double of(const Values& values) { return *std::max_element(values.begin(), values.end()); }
};
struct MinAlong {
  static auto run(const auto& x, const Axes& axes) { return cria::min(x, axes, {.keepdim = true}); }
  static double of(const Values& values) { return *std::min_element(values.begin(), values.end()); }
};
struct VarianceAlong {
  static auto run(const auto& x, const Axes& axes) { return cria::variance(x, axes); }
  static double of(const Values& values) { return spread(values); }
};
struct DeviationAlong {
  static auto run(const auto& x, const Axes& axes) { return cria::standard_deviation(x, axes); }
  static double of(const Values& values) { return std::sqrt(spread(values)); }
};
struct NormAlong {
  static auto run(const auto& x, const Axes& axes) { return cria::norm(x, axes); }
  static double of(const Values& values) {
    double sum = 0;
    for (const double x : values) sum += x * x;
    return std::sqrt(sum);
  }
};
struct LogSumExpAlong {
  static auto run(const auto& x, const Axes& axes) { return cria::logsumexp(x, axes); }
  static double of(const Values& values) {
    double sum = 0;
    for (const double x : values) sum += std::exp(x);
    return std::log(sum);
  }
};
struct Product {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{{3, 4}}, {{5, 1, 3}}}; }
  static std::int64_t terms(const Shapes&) { return 20; }
  static double input(double normal) { return normal + (normal < 0 ? -0.5 : 0.5); }
  static auto run(const auto& x) { return cria::prod(x, 1); }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const auto n = static_cast<std::size_t>(shapes[0].dim(1)),
               inner = static_cast<std::size_t>(shapes[0].rank() == 3 ? shapes[0].dim(2) : 1);
    Values y(inputs[0].size() / n, 1.0);
    for (std::size_t i = 0; i < inputs[0].size(); ++i) y[i / (n * inner) * inner + i % inner] *= inputs[0][i];
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

BOOST_AUTO_TEST_CASE(several_dimensions_disappear_or_stay_as_one) {
  const auto x = Tensor<float>::zeros({2, 3, 4});
  BOOST_TEST(cria::sum(x, {0, -1}).shape() == Shape({3}));
  BOOST_TEST(cria::sum(x, {-1, 0}, {.keepdim = true}).shape() == Shape({1, 3, 1}));
  BOOST_TEST(cria::mean(x, {0, 1, 2}).shape() == Shape({}));
  BOOST_TEST(cria::max(x, Axes::all(), {.keepdim = true}).shape() == Shape({1, 1, 1}));
  BOOST_TEST(cria::argmax(x, 1).shape() == Shape({2, 4}));
  BOOST_TEST(cria::argmin(x, -1, {.keepdim = true}).shape() == Shape({2, 3, 1}));
  BOOST_TEST(cria::variance(x, 0, {.keepdim = true}).shape() == Shape({1, 3, 4}));
}

BOOST_AUTO_TEST_CASE(options_are_no_axes) {
  // With a constructor of a std::initializer_list g++ 12 took {.correction = 0} for the axes {0}.
  BOOST_TEST((!std::constructible_from<Axes, std::initializer_list<int>>));
  BOOST_TEST((!std::convertible_to<bool, Axes>));
  BOOST_TEST((std::convertible_to<int, Axes> && std::convertible_to<std::int64_t, Axes>));
  const auto x = Tensor<float>::full({2, 3}, 1.0f);
  BOOST_TEST(cria::sum(x, {1, 0}).item() == 6.0f);
  BOOST_TEST((cria::sum(x, {0}).shape() == Shape{3}));
  BOOST_TEST((cria::sum(x, {}).shape() == Shape{2, 3}));
}

BOOST_AUTO_TEST_CASE(dimensions_must_exist_and_be_named_once) {
  const auto x = Tensor<float>::zeros({2, 3});
  BOOST_TEST(error_message<ShapeError>([&] { cria::sum(x, 2); }) ==
             "sum: x is [2, 3]; it has no dimension 2");
  BOOST_TEST(error_message<ShapeError>([&] {
               cria::mean(x, {0, -3});
             }) == "mean: x is [2, 3]; it has no dimension -3");
  BOOST_TEST(error_message<ShapeError>([&] {
               cria::max(x, {1, -1});
             }) == "max: x is [2, 3]; dimension -1 is named twice");
  BOOST_TEST(error_message<ShapeError>([&] { cria::argmax(Tensor<float>::scalar(1), 0); }) ==
             "argmax: x is []; it has no dimension 0");
}

BOOST_AUTO_TEST_CASE(nothing_has_a_sum_and_a_product_and_nothing_else) {
  const auto x = Tensor<float>::zeros({0, 3});
  BOOST_TEST(cria::sum(x).item() == 0.0f);
  BOOST_TEST((cria::sum(x, 0).to_vector() == std::vector<float>{0, 0, 0}));
  BOOST_TEST((cria::prod(x, 0).to_vector() == std::vector<float>{1, 1, 1}));
  BOOST_TEST(cria::norm(x).item() == 0.0f);
  BOOST_TEST(cria::count(x).item() == 0);
  BOOST_TEST((cria::all(x == 0.0f, 0).to_vector() == std::vector<bool>{true, true, true}));
  BOOST_TEST((cria::any(x == 0.0f, 0).to_vector() == std::vector<bool>{false, false, false}));
  BOOST_TEST(cria::max(x, 1).shape() == Shape({0}));  // of nothing, nothing is asked
  const std::string rule = ": x is [0, 3]; at least one element is needed";
  BOOST_TEST(error_message<ShapeError>([&] { cria::mean(x); }) == "mean" + rule);
  BOOST_TEST(error_message<ShapeError>([&] { cria::mean(x, 0); }) == "mean" + rule);
  BOOST_TEST(error_message<ShapeError>([&] { cria::max(x, 0); }) == "max" + rule);
  BOOST_TEST(error_message<ShapeError>([&] { cria::argmin(x, 0); }) == "argmin" + rule);
  BOOST_TEST(error_message<ShapeError>([&] { cria::logsumexp(x, 0); }) == "logsumexp" + rule);
}

BOOST_AUTO_TEST_CASE(a_variance_needs_more_elements_than_its_correction) {
  const auto x = Tensor<float>::from({2, 2}, {1, 2, 3, 6});
  BOOST_TEST((cria::variance(x, 1, {.correction = 0}).to_vector() == std::vector<float>{0.25f, 2.25f}));
  BOOST_TEST(error_message<ShapeError>([&] { cria::variance(x, 1, {.correction = 2}); }) ==
             "variance: x is [2, 2]; more than 2 elements are needed for each of the result");
  BOOST_TEST(error_message<ConfigError>([&] { cria::standard_deviation(x, 1, {.correction = -1}); }) ==
             "standard_deviation: correction is -1; it must be 0 or more");
}

BOOST_AUTO_TEST_CASE(equal_extremes_share_the_gradient) {
  auto x = Tensor<float>::from({2, 3}, {1, 5, 5, 2, 0, 1}).set_requires_grad();
  backward(cria::sum(cria::max(x, 1)));
  BOOST_TEST((x.grad().to_vector() == std::vector<float>{0, 0.5f, 0.5f, 1, 0, 0}));
}

BOOST_AUTO_TEST_CASE(a_product_with_zeros_has_the_gradient_of_the_others) {
  auto x = Tensor<float>::from({3, 3}, {2, 0, 3, 0, 4, 0, 1, 2, 3}).set_requires_grad();
  backward(cria::sum(cria::prod(x, 1)));
  BOOST_TEST((x.grad().to_vector() == std::vector<float>{0, 6, 0, 0, 0, 0, 6, 3, 2}));
}

BOOST_AUTO_TEST_CASE(what_has_no_slope_at_zero_has_the_gradient_zero) {
  auto x = Tensor<float>::full({3}, 0.0f).set_requires_grad();
  backward(cria::norm(x) + cria::standard_deviation(x));
  BOOST_TEST((x.grad().to_vector() == std::vector<float>{0, 0, 0}));
}

BOOST_AUTO_TEST_CASE(indices_are_those_of_the_first) {
  const auto x = Tensor<float>::from({2, 3}, {1, 7, 7, -2, 0, -2});
  BOOST_TEST((cria::argmax(x, 1).to_vector() == std::vector<std::int32_t>{1, 1}));
  BOOST_TEST((cria::argmin(x, 1).to_vector() == std::vector<std::int32_t>{0, 0}));
  BOOST_TEST((cria::argmax(x, 0).to_vector() == std::vector<std::int32_t>{0, 0, 0}));
  BOOST_TEST(cria::argmax(x).item() == 1);
  BOOST_TEST(cria::argmin(x).item() == 3);
  BOOST_TEST(cria::argmax(Tensor<std::int32_t>::from({4}, {3, 9, -1, 9})).item() == 1);
}

BOOST_AUTO_TEST_CASE(nan_is_the_greatest_and_the_smallest) {
  const float nan = std::nanf("");
  for (const std::int64_t size : {3, 70}) {
    std::vector<float> values(static_cast<std::size_t>(size), 1.0f);
    values[2] = nan;
    const auto x = Tensor<float>::from({size}, values);
    for (const auto& y : {cria::max(x), cria::min(x), cria::sum(x), cria::mean(x), cria::prod(x),
                          cria::norm(x), cria::variance(x), cria::logsumexp(x)}) {
      BOOST_TEST(std::isnan(y.item()));
    }
    BOOST_TEST(cria::argmax(x).item() == 2);
    BOOST_TEST(cria::argmin(x).item() == 2);
  }
}

BOOST_AUTO_TEST_CASE(the_greatest_and_the_smallest_are_found_wherever_they_are) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const std::int64_t size : {20, 300}) {
    for (const float least : {-5.0f, -infinity, std::nanf("")}) {
      for (std::int64_t at = 0; at + 1 < size; at += 3) {
        std::vector<float> values(static_cast<std::size_t>(size), 1.0f);
        values[static_cast<std::size_t>(at)] = least;
        values[static_cast<std::size_t>(at + 1)] = -least;
        const auto x = Tensor<float>::from({size}, values);
        for (const float got : {cria::min(x).item(), -cria::max(x).item()}) {
          BOOST_TEST((got == least || (std::isnan(got) && std::isnan(least))));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(infinities_have_a_logarithm_of_their_exponentials) {
  const float infinity = std::numeric_limits<float>::infinity();
  auto x = Tensor<float>::from({3, 2}, {-infinity, -infinity, -infinity, 1, 1000, 1000}).set_requires_grad();
  const auto y = cria::logsumexp(x, 1);
  BOOST_TEST(y.to_vector()[0] == -infinity);
  BOOST_TEST(y.to_vector()[1] == 1.0f);
  BOOST_TEST(std::abs(y.to_vector()[2] - 1000.6931f) < 1e-3f);
  backward(cria::sum(y));
  cria::test::check_close("gradient", cria::test::to_values(x.grad()), {0, 0, 0, 1, 0.5, 0.5}, 1e-4);
}

BOOST_AUTO_TEST_CASE(integers_and_masks_are_counted) {
  const auto x = Tensor<std::int32_t>::from({2, 3}, {2'000'000'000, 2'000'000'000, 1, 0, -5, 0});
  BOOST_TEST((cria::sum(x, 1).to_vector() == std::vector<std::int64_t>{4'000'000'001, -5}));
  BOOST_TEST((cria::count(x, 1).to_vector() == std::vector<std::int64_t>{3, 1}));
  BOOST_TEST((cria::max(x, 1).to_vector() == std::vector<std::int32_t>{2'000'000'000, 0}));
  BOOST_TEST((cria::min(x, 0).to_vector() == std::vector<std::int32_t>{0, -5, 0}));
  BOOST_TEST(cria::sum(x > 0).item() == 3);
  BOOST_TEST((cria::any(x > 0, 1).to_vector() == std::vector<bool>{true, false}));
  BOOST_TEST((cria::all(x > 0, 1).to_vector() == std::vector<bool>{true, false}));
}

// Long rows, many rows, long columns and many columns are taken in different ways.
BOOST_AUTO_TEST_CASE(every_order_of_long_dimensions) {
#ifdef CRIA_CUDA_EMULATION
  const std::int64_t many = 9000;
#else
  const std::int64_t many = 200'000;
#endif
  for (const Shape& shape : {Shape{many}, Shape{2, many}, Shape{many, 2}, Shape{3, many / 3, 2},
                             Shape{many / 1500, 1500}, Shape{2, many / 3000, 1500}}) {
    std::vector<float> values(static_cast<std::size_t>(shape.size()));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 7919 % 1001);
    const auto x = Tensor<float>::from(shape, values);
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const Shape kept = shape.with_dim(axis, 1);
      std::vector<float> sums(static_cast<std::size_t>(kept.size())), most(sums.size(), -1.0f);
      for (std::size_t i = 0; i < values.size(); ++i) {
        const std::size_t to = broadcast_index(kept, shape, static_cast<std::int64_t>(i));
        sums[to] += values[i];  // whole numbers: exact as long as they are below 2^24
        most[to] = std::max(most[to], values[i]);
      }
      BOOST_TEST((cria::max(x, axis).to_vector() == most), to_string(shape) << ", " << axis);
      if (shape.dim(axis) <= 16'000) {
        BOOST_TEST((cria::sum(x, axis).to_vector() == sums), to_string(shape) << ", " << axis);
      }
    }
  }
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
CRIA_TEST_OPERATION(sum_along, Along<SumAlong>)
CRIA_TEST_OPERATION(mean_along, Along<MeanAlong>)
CRIA_TEST_OPERATION(max_along, Along<MaxAlong>)
CRIA_TEST_COMPOSED(min_along, Along<MinAlong>)
CRIA_TEST_COMPOSED(variance_along, Along<VarianceAlong>)
CRIA_TEST_COMPOSED(deviation_along, Along<DeviationAlong>)
CRIA_TEST_COMPOSED(norm_along, Along<NormAlong>)
CRIA_TEST_COMPOSED(logsumexp_along, Along<LogSumExpAlong>)
CRIA_TEST_COMPOSED(product, Product)

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
