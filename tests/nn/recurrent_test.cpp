#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "cria/cria.hpp"
#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(nn)
BOOST_AUTO_TEST_SUITE(recurrent)

namespace {

using namespace cria;
using cria::test::check_close;
using cria::test::error_message;
using cria::test::normal_tensor;
using cria::test::to_values;

/// What a sequence gives is what its halves give, the second from the state after the first.
template <class M>
void check_halves(const M& module, const auto& x, double tolerance, auto state_values) {
  const auto [all, last] = module(x);
  const auto [first, between] = module(slice(x, 1, 0, 3));
  const auto [second, end] = module(slice(x, 1, 3, 5), between);
  check_close("outputs", to_values(concat({first, second}, 1)), to_values(all), tolerance);
  check_close("last state", state_values(end), state_values(last), tolerance);
}

template <class T>
void check_type() {
  const auto x = normal_tensor<T>({2, 5, 3}, 7);
  const auto of_tensor = [](const auto& h) { return to_values(h); };
  const auto of_pair = [](const auto& state) { return to_values(concat({state.h, state.c}, 0)); };
  cria::nn::Gru<T> gru(3, 4, {.layers = 2});
  cria::nn::initialize(gru, Rng(1));
  check_halves(gru, x, cria::test::tolerance<T>(40), of_tensor);
  cria::nn::Lstm<T> lstm(3, 4, {.layers = 2});
  cria::nn::initialize(lstm, Rng(1));
  check_halves(lstm, x, cria::test::tolerance<T>(40), of_pair);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_sequence_may_go_on_where_another_ended) {
  check_type<float>();
  check_type<double>();
  check_type<bfloat16>();
  check_type<float16>();
}

BOOST_AUTO_TEST_CASE(parameters_have_pytorchs_names) {
  std::string names;
  for (const auto& value : cria::nn::state_dict(cria::nn::Lstm<float>(3, 2, {.layers = 2}))) {
    names += value.name + " " + to_string(value.shape) + "; ";
  }
  BOOST_TEST(names ==
             "weight_ih_l0 [8, 3]; weight_hh_l0 [8, 2]; bias_ih_l0 [8]; bias_hh_l0 [8]; "
             "weight_ih_l1 [8, 2]; weight_hh_l1 [8, 2]; bias_ih_l1 [8]; bias_hh_l1 [8]; ");
}

// Whether the first of six numbers is 1, which only the state remembers.
BOOST_AUTO_TEST_CASE(states_remember) {
  cria::nn::Gru<float> gru(1, 8);
  cria::nn::Linear<float> head(8, 2, {.bias = true});
  cria::nn::Sequential model{gru, [](const auto& out) { return select(out.first, 1, -1); }, head};
  cria::nn::initialize(model, Rng(3));
  AdamW optimizer(model, {.learning_rate = 0.02, .weight_decay = 0});
  Rng rng(5);
  float loss = 1;
  for (int step = 0; step < 150; ++step) {
    std::vector<float> x;
    std::vector<std::int32_t> first;
    for (int n = 0; n < 32; ++n) {
      for (int t = 0; t < 6; ++t) x.push_back(rng.uniform() < 0.5 ? 0.0f : 1.0f);
      first.push_back(x[x.size() - 6] > 0.5f ? 1 : 0);
    }
    const auto all =
        cross_entropy(model(Tensor<float>::from({32, 6, 1}, x)), Tensor<std::int32_t>::from({32}, first));
    backward(all);
    optimizer.step();
    loss = all.item();
  }
  BOOST_TEST(loss < 0.1f);
}

BOOST_AUTO_TEST_CASE(an_empty_batch_gives_one) {
  cria::nn::Gru<float> gru(3, 4, {.layers = 2});
  cria::nn::Lstm<float> lstm(3, 4);
  cria::nn::initialize(gru, Rng(1));
  auto x = Tensor<float>::zeros({0, 5, 3});
  x.set_requires_grad();
  const auto [states, last] = gru(x);
  BOOST_TEST(states.shape() == Shape({0, 5, 4}));
  BOOST_TEST(last.shape() == Shape({2, 0, 4}));
  const auto [outputs, state] = lstm(x);
  BOOST_TEST(outputs.shape() == Shape({0, 5, 4}));
  BOOST_TEST(state.c.shape() == Shape({1, 0, 4}));
  backward(sum(states) + sum(outputs) + sum(state.c));
  BOOST_TEST(x.grad().shape() == x.shape());
  BOOST_TEST((gru.all.layers[0].weight_ih.grad().to_vector() == std::vector<float>(12 * 3)));
  BOOST_TEST((lstm.all.layers[0].bias_hh.grad().to_vector() == std::vector<float>(16)));
}

BOOST_AUTO_TEST_CASE(what_has_no_bias_neither_lists_nor_trains_one) {
  cria::nn::Gru<float> gru(3, 4, {.bias = false});
  BOOST_TEST(cria::nn::parameter_count(gru) == 12 * 3 + 12 * 4);
  cria::nn::initialize(gru, Rng(1));
  SGD optimizer(gru, {.learning_rate = 0.1});
  backward(sum(gru(normal_tensor<float>({2, 5, 3}, 7)).first));
  optimizer.step();
  BOOST_TEST((gru.all.layers[0].bias_hh.value().to_vector() == std::vector<float>(12)));
  auto wide = cria::nn::cast<double>(gru);
  BOOST_TEST(cria::nn::parameter_count(wide) == 12 * 3 + 12 * 4);
  cria::nn::unfreeze(wide);
  BOOST_TEST(!wide.all.layers[0].bias_ih.requires_grad());
}

BOOST_AUTO_TEST_CASE(bad_options_and_shapes_are_named) {
  BOOST_TEST(error_message<ConfigError>([] { cria::nn::Gru<float>(3, 4, {.layers = 0}); }) ==
             "Gru: layers is 0; it must be at least 1");
  BOOST_TEST(error_message<ConfigError>([] { cria::nn::Lstm<float>(3, 4, {.dropout = 1.0f}); }) ==
             "Lstm: dropout is 1.000000; it must be in [0, 1)");
  const cria::nn::Gru<float> gru(3, 4);
  BOOST_TEST(error_message<ShapeError>([&] {
               gru(Tensor<float>::zeros({5, 3}));
             }) == "Gru: x is [5, 3]; it must be [batch, time, 3], of at least one step");
  BOOST_TEST(error_message<ShapeError>([&] {
               gru(Tensor<float>::zeros({2, 0, 3}));
             }) == "Gru: x is [2, 0, 3]; it must be [batch, time, 3], of at least one step");
  const cria::nn::Lstm<float> lstm(3, 4, {.layers = 2});
  BOOST_TEST(error_message<ShapeError>([&] {
               lstm(Tensor<float>::zeros({2, 5, 4}));
             }) == "Lstm: x is [2, 5, 4]; it must be [batch, time, 3], of at least one step");
  BOOST_TEST(error_message<ShapeError>([&] {
               gru(Tensor<float>::zeros({2, 5, 3}), Tensor<float>::zeros({2, 4}));
             }) == "Gru: shapes differ: h is [2, 4], the state is [1, 2, 4]; they must be equal");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
