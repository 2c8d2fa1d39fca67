// Attention and transformer blocks of every type. (Against PyTorch's: layers_golden_test.cpp.)

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "cria/cria.hpp"
#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(nn)
BOOST_AUTO_TEST_SUITE(transformer)

namespace {

using namespace cria;
using cria::test::check_close;
using cria::test::error_message;
using cria::test::normal_tensor;
using cria::test::to_values;

/// What a padded sequence of 5 gives is what its first 3 positions give, and those that are masked get no
/// gradient.
template <class T>
void check_padding() {
  cria::nn::TransformerEncoderBlock<T> encoder(8, 2);
  cria::nn::TransformerDecoderBlock<T> decoder(8, 4, {.feed_forward = 12});
  cria::nn::initialize(encoder, Rng(1));
  cria::nn::initialize(decoder, Rng(2));
  auto x = normal_tensor<T>({2, 5, 8}, 3);
  const auto y = normal_tensor<T>({2, 4, 8}, 4);
  const auto padding = Tensor<bool>::from({1, 1, 1, 5}, {false, false, false, true, true});
  const auto shortened = slice(x, 1, 0, 3);
  x.set_requires_grad();
  const double tolerance = 8 * cria::test::tolerance<T>(30);
  const auto encoded = encoder(x, padding);
  check_close("encoder", to_values(slice(encoded, 1, 0, 3)), to_values(encoder(shortened)), tolerance);
  const auto decoded = decoder(y, x, padding);
  check_close("decoder", to_values(decoded), to_values(decoder(y, shortened)), tolerance);
  backward(sum(decoded));
  check_close("gradients of what is hidden", to_values(slice(x.grad(), 1, 3, 5)), test::Values(32, 0.0), 0);
}

}  // namespace

BOOST_AUTO_TEST_CASE(padding_is_not_seen) {
  check_padding<float>();
  check_padding<double>();
  check_padding<bfloat16>();
  check_padding<float16>();
}

BOOST_AUTO_TEST_CASE(what_comes_later_is_not_seen_where_attention_is_causal) {
  cria::nn::TransformerEncoderBlock<float> block(8, 2, {.causal = true});
  cria::nn::initialize(block, Rng(1));
  const auto x = normal_tensor<float>({1, 5, 8}, 3);
  check_close("the first 3", to_values(slice(block(x), 1, 0, 3)), to_values(block(slice(x, 1, 0, 3))), 1e-5);
}

BOOST_AUTO_TEST_CASE(bad_options_and_inputs_are_named) {
  using Attention = cria::nn::MultiHeadAttention<float>;
  BOOST_TEST(error_message<ConfigError>([] { Attention(8, 3); }) ==
             "MultiHeadAttention: heads is 3; it must be a divisor of the width, 8");
  const auto x = Tensor<float>::zeros({2, 5, 8});
  BOOST_TEST(
      error_message<ShapeError>([&] { Attention(6, 2)(x); }) ==
      "MultiHeadAttention: dimensions differ: x is [2, 5, 8], in_proj_weight is [18, 6]; x.dim(-1) = 8 "
      "must equal in_proj_weight.dim(-1) = 6");
  BOOST_TEST(error_message<ShapeError>([&] {
               Attention(8, 2)(x, Tensor<float>::zeros({5, 8}));
             }) == "MultiHeadAttention: source is [5, 8]; it must have 3 dimensions");
  BOOST_TEST(error_message<ConfigError>(
                 [&] { Attention(8, 2, {.causal = true})(x, x, Tensor<bool>::from({1}, {false})); }) ==
             "MultiHeadAttention: causal is true and there is a mask; it must be one of both, so let "
             "the mask hide what comes later, too");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
