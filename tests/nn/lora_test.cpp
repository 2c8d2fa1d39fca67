#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "cria/cria.hpp"
#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(nn)
BOOST_AUTO_TEST_SUITE(lora)

namespace {

using namespace cria;
using cria::test::check_close;
using cria::test::normal_tensor;
using cria::test::to_values;
using cria::test::Values;

template <class T>
cria::nn::Linear<T> layer() {
  cria::nn::Linear<T> result(6, 3, {.bias = true});
  cria::nn::initialize(result, Rng(1));
  return result;
}

/// A layer that has learned something merges it and computes the same.
template <class T>
void check_merge() {
  cria::nn::Lora<T> lora(layer<T>(), Rng(2), {.rank = 2, .alpha = 3});
  const auto x = normal_tensor<T>({5, 6}, 4);
  cria::nn::fill_normal(lora.b, 0.5, Rng(3));
  const Values want = to_values(lora(x));
  // y = base(x) + 3 / 2 b (a x), by plain loops.
  const Values base = to_values(lora.base(x)), a = to_values(lora.a), b = to_values(lora.b);
  const Values in = to_values(x);
  Values loops = base;
  for (std::size_t row = 0; row < 5; ++row) {
    for (std::size_t o = 0; o < 3; ++o) {
      for (std::size_t r = 0; r < 2; ++r) {
        for (std::size_t i = 0; i < 6; ++i) {
          loops[row * 3 + o] += 1.5 * b[o * 2 + r] * a[r * 6 + i] * in[row * 6 + i];
        }
      }
    }
  }
  check_close("the formula", want, loops, 8 * cria::test::tolerance<T>(20));
  lora.merge();
  check_close("merged", to_values(lora(x)), want, 8 * cria::test::tolerance<T>(20));
  check_close("the base alone", to_values(lora.base(x)), to_values(lora(x)), 0);
}

}  // namespace

BOOST_AUTO_TEST_CASE(merged_and_unmerged_are_equal) {
  check_merge<float>();
  check_merge<double>();
  check_merge<bfloat16>();
  check_merge<float16>();
}

BOOST_AUTO_TEST_CASE(only_the_small_matrices_are_trained) {
  const auto base = layer<float>();
  const auto before = base.weight.value().to_vector();
  const auto x = normal_tensor<float>({8, 6}, 4), y = normal_tensor<float>({8, 3}, 4);
  cria::nn::Lora<float> lora(base, Rng(2), {.rank = 2});
  BOOST_TEST((lora(x).to_vector() == base(x).to_vector()));  // it begins as the layer
  AdamW optimizer(lora, {.learning_rate = 0.02, .weight_decay = 0});
  const float first = mse_loss(lora(x), y).item();
  for (int step = 0; step < 50; ++step) {
    backward(mse_loss(lora(x), y));
    BOOST_TEST(!base.weight.has_grad());
    BOOST_TEST(!base.bias->has_grad());
    optimizer.step();
  }
  BOOST_TEST(mse_loss(lora(x), y).item() < 0.5f * first);
  BOOST_TEST((base.weight.value().to_vector() == before));
  std::string state;
  for (const auto& tensor : optimizer.state_dict()) state += tensor.name + " ";
  BOOST_TEST(state == "lora_A.first_moment lora_A.second_moment lora_B.first_moment lora_B.second_moment ");
}

BOOST_AUTO_TEST_CASE(a_rank_is_at_least_one) {
  BOOST_TEST(cria::test::error_message<ConfigError>([] {
               cria::nn::Lora<float>(layer<float>(), Rng(1), {.rank = 0});
             }) == "Lora: rank is 0; it must be at least 1");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
