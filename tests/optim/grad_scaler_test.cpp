#include "cria/optim/grad_scaler.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>

#include "cria/cria.hpp"
#include "support/llama_golden.hpp"
#include "support/memory.hpp"

BOOST_AUTO_TEST_SUITE(optim)
BOOST_AUTO_TEST_SUITE(grad_scaler)

namespace {

using namespace cria;

struct One {
  Parameter<float> weight{{1, 2}};
  static void visit(auto& self, auto&& field) { field("weight", self.weight); }
  void set_gradient(float a, float b) { cria::test::write(weight.grad_vec(), {a, b}); }
};

/// One step whose gradient is finite or not.
bool step(GradScaler& scaler, One& model, bool overflow) {
  model.set_gradient(1.0f, overflow ? std::numeric_limits<float>::infinity() : 1.0f);
  const bool finite = std::isfinite(scaler.unscale(model));
  cria::nn::zero_grad(model);
  scaler.update();
  return finite;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_scale_starts_at_2_to_the_16) {
  BOOST_TEST(GradScaler({}).scale() == 65536.0);
}

BOOST_AUTO_TEST_CASE(the_scale_doubles_after_2000_good_steps_in_a_row) {
  GradScaler scaler({});
  One model;
  for (int i = 0; i < 1999; ++i) step(scaler, model, false);
  BOOST_TEST(scaler.scale() == 65536.0);
  step(scaler, model, false);
  BOOST_TEST(scaler.scale() == 131072.0);
  for (int i = 0; i < 1999; ++i) step(scaler, model, false);
  BOOST_TEST(scaler.scale() == 131072.0);
}

BOOST_AUTO_TEST_CASE(an_overflow_halves_the_scale_and_starts_the_count_again) {
  GradScaler scaler({});
  One model;
  for (int i = 0; i < 1999; ++i) step(scaler, model, false);
  BOOST_TEST(!step(scaler, model, true));
  BOOST_TEST(scaler.scale() == 32768.0);
  BOOST_TEST(scaler.state().good_steps == 0);
  for (int i = 0; i < 1999; ++i) step(scaler, model, false);
  BOOST_TEST(scaler.scale() == 32768.0);
}

BOOST_AUTO_TEST_CASE(nan_counts_as_overflow) {
  GradScaler scaler({});
  One model;
  model.set_gradient(std::numeric_limits<float>::quiet_NaN(), 1.0f);
  BOOST_TEST(!std::isfinite(scaler.unscale(model)));
}

BOOST_AUTO_TEST_CASE(unscaling_divides_once_and_keeps_the_scale_until_update) {
  GradScaler scaler({.scale = 8.0});
  One model;
  model.set_gradient(16.0f, 24.0f);
  BOOST_TEST(std::isfinite(scaler.unscale(model)));
  BOOST_TEST((model.weight.grad().to_vector() == std::vector<float>{2.0f, 3.0f}));
  BOOST_TEST(scaler.scale() == 8.0);
}

BOOST_AUTO_TEST_CASE(a_disabled_scaler_never_changes_anything) {
  GradScaler scaler({.enabled = false});
  One model;
  BOOST_TEST(!step(scaler, model, true));
  BOOST_TEST(scaler.scale() == 1.0);
}

BOOST_AUTO_TEST_CASE(a_skipped_step_leaves_weights_moments_and_adams_count) {
  One model;
  model.weight.value().assign(std::vector<float>{1, 2});
  AdamW optimizer(model, {});
  GradScaler scaler({});
  model.set_gradient(std::numeric_limits<float>::infinity(), 1.0f);
  if (std::isfinite(scaler.unscale(model))) optimizer.step();
  BOOST_TEST(optimizer.steps() == 0);
  BOOST_TEST((model.weight.value().to_vector() == std::vector<float>{1, 2}));
}

BOOST_AUTO_TEST_CASE(without_overflow_the_update_is_bitwise_the_same_for_every_scale) {
  const auto golden = test::golden_json("tied_kv2.json");
  const auto batch = test::golden_batch(golden, 0);
  const auto updated = [&](double scale) {
    auto model = test::golden_model<float>(golden);
    AdamW optimizer(model, {.learning_rate = 0.01});
    GradScaler scaler({.scale = scale});
    backward(model.loss(batch.inputs, batch.targets), static_cast<float>(scaler.scale()));
    BOOST_TEST_REQUIRE(std::isfinite(scaler.unscale(model)));
    clip_grad_norm(model, 1.0);
    optimizer.step();
    std::vector<std::vector<std::byte>> values;
    for (const auto& tensor : cria::nn::state_dict(model)) values.push_back(tensor.read());
    return values;
  };
  const auto unscaled = updated(1.0);
  BOOST_TEST((updated(256.0) == unscaled));
  BOOST_TEST((updated(65536.0) == unscaled));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
