#include "cria/optim/grad_scaler.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>

#include "cria/cria.hpp"
#include "support/error_message.hpp"
#include "support/llama_golden.hpp"
#include "support/memory.hpp"

BOOST_AUTO_TEST_SUITE(optim)
BOOST_AUTO_TEST_SUITE(grad_scaler)

namespace {

using namespace cria;

struct One {
  Parameter<float> weight{{1, 2}};
  static void visit(auto& self, auto&& field) { field("weight", self.weight); }
  void set_gradient(float a, float b) { cria::test::write(cria::sink(weight).vec(), {a, b}); }
};

/// What the norm of a step's gradients is, overflowed or not.
void step(GradScaler& scaler, bool overflow) {
  scaler.update(overflow ? std::numeric_limits<double>::infinity() : 1.0);
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_scale_starts_at_2_to_the_16) {
  BOOST_TEST(GradScaler({}).scale() == 65536.0);
}

BOOST_AUTO_TEST_CASE(options_must_be_in_range) {
  const auto message = [](const GradScaler::Options& options) {
    return cria::test::error_message<ConfigError>([&] { GradScaler{options}; });
  };
  BOOST_TEST(message({.scale = 0}) == "GradScaler: scale is 0.000000; it must be greater than 0");
  BOOST_TEST(message({.growth_factor = 0.5}) ==
             "GradScaler: growth_factor is 0.500000; it must be at least 1");
  BOOST_TEST(message({.backoff_factor = 2}) ==
             "GradScaler: backoff_factor is 2.000000; it must be in (0, 1]");
  BOOST_TEST(message({.growth_interval = 0}) == "GradScaler: growth_interval is 0; it must be at least 1");
  BOOST_TEST(message({.scale = std::nan("")}) == "GradScaler: scale is nan; it must be greater than 0");
}

BOOST_AUTO_TEST_CASE(the_scale_doubles_after_2000_good_steps_in_a_row) {
  GradScaler scaler({});
  for (int i = 0; i < 1999; ++i) step(scaler, false);
  BOOST_TEST(scaler.scale() == 65536.0);
  step(scaler, false);
  BOOST_TEST(scaler.scale() == 131072.0);
  for (int i = 0; i < 1999; ++i) step(scaler, false);
  BOOST_TEST(scaler.scale() == 131072.0);
}

BOOST_AUTO_TEST_CASE(an_overflow_halves_the_scale_and_starts_the_count_again) {
  GradScaler scaler({});
  for (int i = 0; i < 1999; ++i) step(scaler, false);
  step(scaler, true);
  BOOST_TEST(scaler.scale() == 32768.0);
  BOOST_TEST(scaler.state().good_steps == 0);
  for (int i = 0; i < 1999; ++i) step(scaler, false);
  BOOST_TEST(scaler.scale() == 32768.0);
}

BOOST_AUTO_TEST_CASE(nan_counts_as_overflow) {
  GradScaler scaler({});
  scaler.update(std::numeric_limits<double>::quiet_NaN());
  BOOST_TEST(scaler.scale() == 32768.0);
}

BOOST_AUTO_TEST_CASE(a_disabled_scaler_never_changes_anything) {
  GradScaler scaler({.enabled = false});
  step(scaler, true);
  BOOST_TEST(scaler.scale() == 1.0);
}

BOOST_AUTO_TEST_CASE(a_skipped_step_leaves_weights_moments_and_adams_count) {
  One model;
  model.weight.value().assign(std::vector<float>{1, 2});
  AdamW optimizer(model, {});
  GradScaler scaler({});
  model.set_gradient(std::numeric_limits<float>::infinity(), 1.0f);
  optimizer.step({.loss_scale = scaler.scale()});
  scaler.update(optimizer.gradient_norm());
  BOOST_TEST(scaler.scale() == 32768.0);
  BOOST_TEST(!model.weight.has_grad());
  BOOST_TEST(optimizer.steps() == 0);
  for (const auto& moment : optimizer.state_dict()) {
    BOOST_TEST((moment.read() == std::vector<std::byte>(2 * sizeof(float))));
  }
  BOOST_TEST((model.weight.value().to_vector() == std::vector<float>{1, 2}));
}

BOOST_AUTO_TEST_CASE(without_overflow_the_update_is_bitwise_the_same_for_every_scale) {
  const auto golden = test::golden_json("tied_kv2.json");
  const auto batch = test::golden_batch(golden, 0);
  const auto updated = [&](double scale) {
    auto model = test::golden_model<float>(golden);
    AdamW optimizer(model, {.learning_rate = 0.01});
    backward(model.loss(batch.inputs, batch.targets), static_cast<float>(scale));
    optimizer.step({.loss_scale = scale, .max_norm = 1.0});
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
