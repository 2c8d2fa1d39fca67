#include "cria/nn/init.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <vector>

#include "support/compare.hpp"
#include "support/error_message.hpp"

BOOST_AUTO_TEST_SUITE(nn)
BOOST_AUTO_TEST_SUITE(init)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::to_values;
using cria::test::Values;

struct Moments {
  double mean, deviation, least, most;
};

/// Of what fill(parameter) makes of a parameter of this shape.
template <class F>
Moments moments(const Shape& shape, F fill) {
  Parameter<float> parameter(shape);
  fill(parameter);
  const Values values = to_values(parameter.value());
  const auto size = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  for (const double value : values) squares += (value - sum / size) * (value - sum / size);
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return {sum / size, std::sqrt(squares / size), *least, *most};
}

/// Numbers with this deviation, between -bound and bound and almost up to it: some 10,000 of them, whose
/// deviation is known up to 1 %.
void check(const Moments& got, double deviation, double bound) {
  BOOST_TEST(std::abs(got.mean) < 0.05 * deviation);
  BOOST_TEST(got.deviation == deviation, boost::test_tools::tolerance(0.03));
  BOOST_TEST(got.most <= bound * (1 + 1e-6));
  BOOST_TEST(got.most > 0.98 * bound);
  BOOST_TEST(got.least >= -bound * (1 + 1e-6));
  BOOST_TEST(got.least < -0.98 * bound);
}
void check_normal(const Moments& got, double deviation) {
  BOOST_TEST(std::abs(got.mean) < 0.05 * deviation);
  BOOST_TEST(got.deviation == deviation, boost::test_tools::tolerance(0.03));
  BOOST_TEST(got.most > 3 * deviation);  // no bound
}

/// The products of all pairs of rows of a matrix, or of its columns.
template <class T>
double distance_from_orthogonal(const Shape& shape, double gain) {
  Parameter<T> parameter(shape);
  cria::nn::fill_orthogonal(parameter, Rng(5), gain);
  const Values values = to_values(parameter.value());
  const auto rows = static_cast<std::size_t>(shape.dim(0)), cols = values.size() / rows;
  const std::size_t vectors = std::min(rows, cols), size = std::max(rows, cols);
  const auto at = [&](std::size_t vector, std::size_t i) {
    return rows <= cols ? values[vector * cols + i] : values[i * cols + vector];
  };
  double worst = 0;
  for (std::size_t a = 0; a < vectors; ++a) {
    for (std::size_t b = 0; b < vectors; ++b) {
      double product = 0;
      for (std::size_t i = 0; i < size; ++i) product += at(a, i) * at(b, i);
      worst = std::max(worst, std::abs(product - (a == b ? gain * gain : 0)));
    }
  }
  return worst;
}

}  // namespace

BOOST_AUTO_TEST_CASE(numbers_have_the_moments_of_their_distribution) {
  const Shape matrix{80, 120}, kernel{20, 30, 4, 4};
  using namespace cria::nn;
  const auto uniform = moments(matrix, [](auto& p) { fill_uniform(p, 1, 3, Rng(1)); });
  BOOST_TEST(uniform.mean == 2, boost::test_tools::tolerance(0.01));
  BOOST_TEST(uniform.deviation == 1 / std::sqrt(3.0), boost::test_tools::tolerance(0.03));
  BOOST_TEST(uniform.least >= 1);
  BOOST_TEST(uniform.most <= 3);
  check_normal(moments(matrix, [](auto& p) { fill_normal(p, 0.5, Rng(1)); }), 0.5);
  check(moments(matrix, [](auto& p) { fill_truncated_normal(p, 0.5, Rng(1)); }), 0.5 * 0.87963, 1.0);

  const double xavier = std::sqrt(2.0 / 200), xavier_of_kernel = 3 * std::sqrt(2.0 / (50 * 16));
  check(moments(matrix, [](auto& p) { fill_xavier_uniform(p, Rng(1)); }), xavier, xavier * std::sqrt(3.0));
  check(moments(kernel, [](auto& p) { fill_xavier_uniform(p, Rng(1), 3); }), xavier_of_kernel,
        xavier_of_kernel * std::sqrt(3.0));
  check_normal(moments(matrix, [](auto& p) { fill_xavier_normal(p, Rng(1)); }), xavier);
  check_normal(moments(kernel, [](auto& p) { fill_xavier_normal(p, Rng(1), 3); }), xavier_of_kernel);

  const double he = std::sqrt(2.0 / 120), he_of_kernel = 1 / std::sqrt(30.0 * 16);
  check(moments(matrix, [](auto& p) { fill_kaiming_uniform(p, Rng(1)); }), he, he * std::sqrt(3.0));
  check(moments(kernel, [](auto& p) { fill_kaiming_uniform(p, Rng(1), 1); }), he_of_kernel,
        he_of_kernel * std::sqrt(3.0));
  check_normal(moments(matrix, [](auto& p) { fill_kaiming_normal(p, Rng(1)); }), he);
  check_normal(moments(kernel, [](auto& p) { fill_kaiming_normal(p, Rng(1), 1); }), he_of_kernel);
}

BOOST_AUTO_TEST_CASE(rows_or_columns_are_orthonormal) {
  BOOST_TEST(distance_from_orthogonal<double>({7, 20}, 1) < 1e-13);
  BOOST_TEST(distance_from_orthogonal<double>({20, 7}, 1.5) < 1e-13);
  BOOST_TEST(distance_from_orthogonal<double>({30, 30}, 1) < 1e-13);
  BOOST_TEST(distance_from_orthogonal<float>({6, 3, 2, 2}, 1) < 1e-6);
  BOOST_TEST(distance_from_orthogonal<bfloat16>({6, 8}, 1) < 0.03);
}

BOOST_AUTO_TEST_CASE(the_same_stream_gives_the_same_numbers) {
  Parameter<float> a({3, 4}), b({3, 4});
  cria::nn::fill_orthogonal(a, Rng(1));
  cria::nn::fill_orthogonal(b, Rng(1));
  BOOST_TEST((a.value().to_vector() == b.value().to_vector()));
  cria::nn::fill_orthogonal(b, Rng(2));
  BOOST_TEST((a.value().to_vector() != b.value().to_vector()));
}

BOOST_AUTO_TEST_CASE(vectors_have_no_inputs_and_outputs) {
  Parameter<float> bias({3});
  BOOST_TEST(error_message<ShapeError>([&] { cria::nn::fill_xavier_normal(bias, Rng(1)); }) ==
             "fill_xavier_normal: parameter is [3]; it must have at least 2 dimensions");
  BOOST_TEST(error_message<ShapeError>([&] { cria::nn::fill_orthogonal(bias, Rng(1)); }) ==
             "fill_orthogonal: parameter is [3]; it must have at least 2 dimensions");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
