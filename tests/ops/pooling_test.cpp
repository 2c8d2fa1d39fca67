#include "cria/ops/pooling.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "cria/ops/create.hpp"
#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(pooling)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;
using Floats = std::vector<float>;

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

/// Windows that overlap and leave pixels out, strides of 1, 2 and more, and lines of more than a register.
struct Overlapping {
  static Size2d kernel() { return {3, 2}; }
  static Pool2dOptions options() { return {.stride = {2, 1}, .padding = {1, 0}}; }
  static Shape shape() { return {2, 3, 5, 4}; }
};
struct Apart {
  static Size2d kernel() { return 2; }
  static Pool2dOptions options() { return {}; }
  static Shape shape() { return {1, 2, 5, 71}; }
};
struct Around {
  static Size2d kernel() { return {2, 5}; }
  static Pool2dOptions options() { return {.stride = {1, 2}, .padding = {1, 2}}; }
  static Shape shape() { return {2, 1, 1, 40}; }
};
struct FarApart {
  static Size2d kernel() { return {2, 4}; }
  static Pool2dOptions options() { return {.stride = {3, 3}, .padding = {0, 1}}; }
  static Shape shape() { return {3, 1, 6, 9}; }
};

template <bool Max, class Options>
struct Pooled {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{Options::shape()}}; }
  static std::int64_t terms(const Shapes&) { return 20; }
  static auto run(const auto& x) {
    if constexpr (Max) {
      return cria::max_pool2d(x, Options::kernel(), Options::options());
    } else {
      return cria::avg_pool2d(x, Options::kernel(), Options::options());
    }
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const Shape& x = shapes[0];
    const std::int64_t h = x.dim(2), w = x.dim(3);
    const Size2d kernel = Options::kernel(), padding = Options::options().padding;
    Size2d stride = Options::options().stride;
    if (stride.height == 0) stride = kernel;
    Values y;
    for (std::int64_t image = 0; image < x.dim(0) * x.dim(1); ++image) {
      for (std::int64_t i = -padding.height; i + kernel.height <= h + padding.height; i += stride.height) {
        for (std::int64_t j = -padding.width; j + kernel.width <= w + padding.width; j += stride.width) {
          double most = -std::numeric_limits<double>::infinity(), sum = 0;
          for (std::int64_t row = i; row < i + kernel.height; ++row) {
            for (std::int64_t column = j; column < j + kernel.width; ++column) {
              if (row < 0 || row >= h || column < 0 || column >= w) continue;
              const double pixel = inputs[0][static_cast<std::size_t>((image * h + row) * w + column)];
              if (pixel > most || pixel != pixel) most = pixel;
              sum += pixel;
            }
          }
          y.push_back(Max ? most : sum / static_cast<double>(kernel.height * kernel.width));
        }
      }
    }
    return y;
  }
};
template <class Options>
using MaxPooled = Pooled<true, Options>;
template <class Options>
using AvgPooled = Pooled<false, Options>;

}  // namespace

CRIA_TEST_OPERATION(max_overlapping, MaxPooled<Overlapping>)
CRIA_TEST_OPERATION(max_apart, MaxPooled<Apart>)
CRIA_TEST_OPERATION(max_around, MaxPooled<Around>)
CRIA_TEST_OPERATION(max_far_apart, MaxPooled<FarApart>)
CRIA_TEST_OPERATION(avg_overlapping, AvgPooled<Overlapping>)
CRIA_TEST_OPERATION(avg_apart, AvgPooled<Apart>)
CRIA_TEST_OPERATION(avg_around, AvgPooled<Around>)
CRIA_TEST_OPERATION(avg_far_apart, AvgPooled<FarApart>)

BOOST_AUTO_TEST_CASE(the_first_of_equal_ones_gets_the_gradient) {
  auto x = Tensor<float>::from({1, 1, 2, 4}, {1, 2, 7, 7, 2, 2, 7, 7}).set_requires_grad();
  const auto y = max_pool2d(x, 2);
  BOOST_TEST((y.to_vector() == Floats{2, 7}));
  backward(sum(y));
  BOOST_TEST((x.grad().to_vector() == Floats{0, 1, 1, 0, 0, 0, 0, 0}));
}

BOOST_AUTO_TEST_CASE(windows_of_infinities_have_a_first_element) {
  auto x = Tensor<float>::full({1, 1, 2, 2}, -infinity).set_requires_grad();
  const auto y = max_pool2d(x, 2, {.padding = 1});
  BOOST_TEST((y.to_vector() == Floats(4, -infinity)));
  backward(sum(y));
  BOOST_TEST((x.grad().to_vector() == Floats(4, 1)));
}

BOOST_AUTO_TEST_CASE(nan_is_the_greatest) {
  auto x = Tensor<float>::from({1, 1, 2, 4}, {1, nan, 3, 4, infinity, 2, 5, 6}).set_requires_grad();
  const auto y = max_pool2d(x, 2).to_vector();
  BOOST_TEST(y[0] != y[0]);
  BOOST_TEST(y[1] == 6);
  backward(sum(max_pool2d(x, 2)));
  BOOST_TEST((x.grad().to_vector() == Floats{0, 1, 0, 0, 0, 0, 0, 1}));
}

BOOST_AUTO_TEST_CASE(long_means_lose_no_digits) {
  const std::int64_t size = 100003;  // a running sum of floats is off by a part in seven thousand
  const auto x = Tensor<float>::full({1, 1, 1, size}, 0.1f);
  BOOST_TEST(std::abs(avg_pool2d(x, {1, size}).item() - 0.1f) < 1e-6f);
}

BOOST_AUTO_TEST_CASE(padding_of_a_greatest_element_is_no_anomaly) {
  const DetectAnomaly guard;
  const auto x = Tensor<float>::full({1, 1, 2, 2}, 1.0f).set_requires_grad();
  backward(sum(max_pool2d(x, 2, {.padding = 1})));
  BOOST_TEST((x.grad().to_vector() == Floats(4, 1.0f)));
  const auto bad = Tensor<float>::full({1, 1, 2, 2}, nan);
  BOOST_TEST(error_message<AutogradError>([&] { max_pool2d(bad, 2); }) ==
             "DetectAnomaly: the result of 'max_pool2d', [1, 1, 1, 1], is nan at element 0");
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_named) {
  const auto x = Tensor<float>::zeros({1, 4, 2, 5});
  const auto message = [](auto run) { return error_message<ShapeError>(run); };
  BOOST_TEST(message([&] {
               max_pool2d(Tensor<float>::zeros({1, 1, 0, 4}), 2, {.padding = 1});
             }) == "max_pool2d: x is [1, 1, 0, 4]; its height and width must be at least 1");
  BOOST_TEST(
      message([&] { avg_pool2d(x, 3); }) ==
      "avg_pool2d: x is [1, 4, 2, 5]; with its padding it must be at least as large as a window, 3 by 3");
  BOOST_TEST(error_message<ConfigError>([&] { max_pool2d(x, 2, {.padding = 2}); }) ==
             "max_pool2d: padding is 2; it must be at most half of a window");
  BOOST_TEST(error_message<ConfigError>([&] { max_pool2d(x, 0); }) ==
             "max_pool2d: kernel is 0; it must be at least 1");
  BOOST_TEST(error_message<ConfigError>([&] { avg_pool2d(x, std::numeric_limits<std::int64_t>::max()); }) ==
             "avg_pool2d: kernel is 9223372036854775807; it must be at most 1073741824");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
