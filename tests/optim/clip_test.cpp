#include "cria/optim/clip.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <numeric>

#include "cria/cria.hpp"
#include "support/error_message.hpp"
#include "support/llama_golden.hpp"
#include "support/memory.hpp"
#include "support/op_case.hpp"
#include "support/threads.hpp"

BOOST_AUTO_TEST_SUITE(optim)
BOOST_AUTO_TEST_SUITE(clip)

namespace {

using namespace cria;

struct Two {
  Parameter<double> first{{2, 3}}, second{{4}};
  static void visit(auto& self, auto&& field) {
    field("first", self.first);
    field("second", self.second);
  }
};

struct Long {
  Parameter<float> weight{{20001}};
  static void visit(auto& self, auto&& field) { field("weight", self.weight); }
};

void set_gradient(Parameter<double>& parameter, const std::vector<double>& values) {
  cria::test::write(cria::sink(parameter).vec(), values);
}

void check_against_pytorch(const char* name) {
  const auto golden = test::golden_json("ops.json")[name];
  Two model;
  set_gradient(model.first, golden["gradients"]["first"]["values"]);
  set_gradient(model.second, golden["gradients"]["second"]["values"]);
  BOOST_TEST(clip_grad_norm(model, golden["max_norm"]) == golden["norm"].get<double>(),
             boost::test_tools::tolerance(1e-14));
  const auto check = [&](Parameter<double>& parameter, const char* which) {
    const auto got = parameter.grad().to_vector();
    const auto want = golden["clipped"][which]["values"].get<std::vector<double>>();
    for (std::size_t i = 0; i < want.size(); ++i)
      BOOST_TEST(got[i] == want[i], boost::test_tools::tolerance(1e-14));
  };
  check(model.first, "first");
  check(model.second, "second");
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_large_gradient_is_scaled_as_pytorch_does) {
  check_against_pytorch("clip_grad_norm");
}

BOOST_AUTO_TEST_CASE(a_small_gradient_stays) {
  check_against_pytorch("clip_grad_norm_below_limit");
}

BOOST_AUTO_TEST_CASE(zero_turns_clipping_off) {
  Two model;
  set_gradient(model.first, std::vector<double>(6, 10.0));
  clip_grad_norm(model, 0.0);
  BOOST_TEST(model.first.grad().to_vector()[0] == 10.0);
}

BOOST_AUTO_TEST_CASE(a_norm_that_is_not_finite_is_reported_and_scales_nothing) {
  Two model;
  set_gradient(model.first, {1, 2, 3, 4, 5, std::numeric_limits<double>::infinity()});
  BOOST_TEST(std::isinf(clip_grad_norm(model, 1.0)));
  BOOST_TEST(model.first.grad().to_vector()[1] == 2.0);
  set_gradient(model.first, {1, 2, 3, 4, 5, std::numeric_limits<double>::quiet_NaN()});
  BOOST_TEST(std::isnan(clip_grad_norm(model, 1.0)));
}

BOOST_AUTO_TEST_CASE(a_tied_weight_counts_once) {
  const auto golden = test::golden_json("tied_kv2.json");
  auto model = test::golden_model<float>(golden);
  const auto batch = test::golden_batch(golden, 0);
  backward(model.loss(batch.inputs, batch.targets));
  BOOST_TEST(gradient_norm(model) == golden["gradient_norms_float64"][0].get<double>(),
             boost::test_tools::tolerance(1e-6));
}

BOOST_AUTO_TEST_CASE(every_element_of_a_long_gradient_counts_once_in_a_fixed_order) {
  Long model;
  std::vector<float> values(20001);
  std::iota(values.begin(), values.end(), 0.0f);
  test::write(cria::sink(model.weight).vec(), values);
  BOOST_TEST(gradient_norm(model) == std::sqrt(20000.0 * 20001 * 40001 / 6));  // all sums are exact
  test::write(cria::sink(model.weight).vec(), test::rounded<float>(test::normals(20001, 1)));
  test::check_threads_do_not_matter([&] { return test::Values{gradient_norm(model)}; });
}

BOOST_AUTO_TEST_CASE(values_are_clamped_and_nan_stays) {
  Two model;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  set_gradient(model.first, {-3, -1, -0.5, 0, 2, nan});  // `second` has no gradient
  clip_grad_value(model, 1.0);
  const auto got = model.first.grad().to_vector();
  BOOST_TEST((std::vector(got.begin(), got.end() - 1) == std::vector<double>{-1, -1, -0.5, 0, 1}));
  BOOST_TEST(std::isnan(got.back()));
  BOOST_TEST(!model.second.has_grad());
  BOOST_TEST(test::error_message<ConfigError>([&] { clip_grad_value(model, 0); }) ==
             "clip_grad_value: limit is 0.000000; it must be positive");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
