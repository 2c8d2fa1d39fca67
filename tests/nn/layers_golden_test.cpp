// Layers in double against PyTorch's of the same weights (tests/golden/make_layer_goldens.py).

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "cria/cria.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"

BOOST_AUTO_TEST_SUITE(nn)
BOOST_AUTO_TEST_SUITE(layers_golden)

namespace {

using namespace cria;
using cria::test::check_close;
using cria::test::to_values;
using cria::test::Values;
using X = std::vector<Tensor<double>>;

Values wave(double offset, std::int64_t size) {
  Values values;
  for (std::int64_t i = 0; i < size; ++i) {
    const auto at = static_cast<double>(i);
    values.push_back(std::sin(offset + 0.37 * at + at * at / 64.0));
  }
  return values;
}

/// Outputs, and gradients of inputs and parameters, of module called by call(module, inputs), a vector of
/// outputs. The parameters have PyTorch's names.
template <class M, class F>
void check_against_pytorch(const std::string& name, M module, F call) {
  const auto want = cria::test::golden_json("layers.json").at(name);
  X inputs;
  for (const auto& dims : want.at("shapes")) {
    const Shape shape(dims.get<std::vector<std::int64_t>>());
    const auto values = wave(1.0 + static_cast<double>(inputs.size()), shape.size());
    inputs.push_back(Tensor<double>::from(shape, values).set_requires_grad());
  }
  std::map<std::string, Parameter<double>> parameters;  // in the order of their names, as there
  cria::nn::for_each_parameter(
      module, [&](const std::string& key, auto& parameter) { parameters.emplace(key, parameter); });
  double offset = 2;
  for (auto& [key, parameter] : parameters) {
    Values values = wave(offset++, parameter.size());
    for (double& value : values) value *= 0.5;
    parameter.value().assign(values);
  }
  const X outputs = call(module, inputs);
  auto loss = Tensor<double>::scalar(0);
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    check_close(name + ", output " + std::to_string(k), to_values(outputs[k]),
                want.at("outputs").at(k).get<Values>(), 1e-11);
    Values flow;
    for (std::int64_t i = 0; i < outputs[k].size(); ++i) {
      flow.push_back(std::cos(1 + static_cast<double>(k) + 0.53 * static_cast<double>(i)));
    }
    loss = loss + sum(outputs[k] * Tensor<double>::from(outputs[k].shape(), flow));
  }
  BOOST_TEST(outputs.size() == want.at("outputs").size(), name);
  backward(loss);
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    check_close(name + ", gradient of input " + std::to_string(k), to_values(inputs[k].grad()),
                want.at("gradients").at(k).get<Values>(), 1e-11);
  }
  BOOST_TEST(parameters.size() == want.at("parameters").size(), name);
  for (const auto& [key, gradient] : want.at("parameters").items()) {
    BOOST_TEST_REQUIRE(parameters.contains(key), name << ": " << key);
    check_close(name + ", gradient of " + key, to_values(parameters.at(key).grad()),
                gradient.template get<Values>(), 1e-11);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(gru_is_pytorchs) {
  check_against_pytorch("gru", cria::nn::Gru<double>(3, 4, {.layers = 2}),
                        [](const auto& module, const X& x) {
                          const auto [y, h] = module(x[0], x[1]);
                          return X{y, h};
                        });
}

BOOST_AUTO_TEST_CASE(gru_without_bias_is_pytorchs) {
  check_against_pytorch("gru_without_bias", cria::nn::Gru<double>(3, 4, {.bias = false}),
                        [](const auto& module, const X& x) {
                          const auto [y, h] = module(x[0], x[1]);
                          return X{y, h};
                        });
}

BOOST_AUTO_TEST_CASE(lstm_is_pytorchs) {
  check_against_pytorch("lstm", cria::nn::Lstm<double>(3, 4, {.layers = 2}),
                        [](const auto& module, const X& x) {
                          const auto [y, state] = module(x[0], {x[1], x[2]});
                          return X{y, state.h, state.c};
                        });
}

BOOST_AUTO_TEST_CASE(attention_is_pytorchs) {
  using Attention = cria::nn::MultiHeadAttention<double>;
  const auto to_itself = [](const auto& attention, const X& x) { return X{attention(x[0])}; };
  const auto to_itself_as_source = [](const auto& attention, const X& x) { return X{attention(x[0], x[0])}; };
  check_against_pytorch("self_attention", Attention(6, 2), to_itself);
  check_against_pytorch("self_attention", Attention(6, 2), to_itself_as_source);
  check_against_pytorch("causal_attention", Attention(6, 2, {.bias = false, .causal = true}), to_itself);
  check_against_pytorch("causal_attention", Attention(6, 2, {.bias = false, .causal = true}),
                        to_itself_as_source);
  check_against_pytorch("cross_attention", Attention(6, 2),
                        [](const auto& attention, const X& x) { return X{attention(x[0], x[1])}; });
  const auto padding = Tensor<bool>::from({2, 1, 1, 5}, {false, false, false, false, false,  //
                                                         false, false, false, true, true});
  check_against_pytorch("masked_attention", Attention(6, 2),
                        [&](const auto& attention, const X& x) { return X{attention(x[0], x[1], padding)}; });
}

BOOST_AUTO_TEST_CASE(transformer_blocks_are_pytorchs) {
  check_against_pytorch("encoder_block", cria::nn::TransformerEncoderBlock<double>(6, 2, {.feed_forward = 8}),
                        [](const auto& block, const X& x) { return X{block(x[0])}; });
  const auto nothing = Tensor<bool>::full({1}, false);
  check_against_pytorch("encoder_block", cria::nn::TransformerEncoderBlock<double>(6, 2, {.feed_forward = 8}),
                        [&](const auto& block, const X& x) { return X{block(x[0], nothing)}; });
  check_against_pytorch("decoder_block", cria::nn::TransformerDecoderBlock<double>(6, 2, {.feed_forward = 8}),
                        [](const auto& block, const X& x) { return X{block(x[0], x[1])}; });
  check_against_pytorch("decoder_block", cria::nn::TransformerDecoderBlock<double>(6, 2, {.feed_forward = 8}),
                        [&](const auto& block, const X& x) { return X{block(x[0], x[1], nothing)}; });
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
