#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "cria/cria.hpp"
#include "support/compare.hpp"

BOOST_AUTO_TEST_SUITE(nn)
BOOST_AUTO_TEST_SUITE(convert)

namespace {

using namespace cria;
using cria::test::check_close;
using cria::test::to_values;
using cria::test::Values;

/// A module of a user's own.
template <class T, class B = DefaultBackend>
struct Network {
  cria::nn::Linear<T, B> first, second;
  Network() : first(3, 8, {.bias = true}), second(8, 2) {}
  template <class From, class Source>
  explicit Network(const Network<From, Source>& other) : first(other.first), second(other.second) {}

  Tensor<T, B> operator()(const Tensor<T, B>& x) const { return second(tanh(first(x))); }
  static void visit(auto& self, auto&& field) {
    field("first", self.first);
    field("second", self.second);
  }
};

/// One of the type alone.
template <class T>
struct Short {
  Parameter<T> weight{{4, 3}};
  Short() = default;
  template <class From>
  explicit Short(const Short<From>& other) : weight(other.weight) {}
  static void visit(auto& self, auto&& field) { field("weight", self.weight); }
};

template <class M>
Values all_values(const M& module) {
  Values values;
  cria::nn::for_each_value(module, [&](const std::string&, const auto& field) {
    for (const double value : to_values(field.value())) values.push_back(value);
  });
  return values;
}
template <class M>
std::string names(const M& module) {
  std::string text;
  for (const auto& value : cria::nn::state_dict(module)) {
    text += value.name + " " + std::string(value.dtype) + " " + to_string(value.shape) + "; ";
  }
  return text;
}

/// In double and back a module is what it was, with values of its own.
template <class M>
void check_there_and_back(M module) {
  cria::nn::initialize(module, Rng(1));
  const auto wide = cria::nn::cast<double>(module);
  const M back = cria::nn::cast<float>(wide);
  BOOST_TEST(names(back) == names(module));
  check_close("values", all_values(back), all_values(module), 0);
  check_close("in double", all_values(wide), all_values(module), 0);
  const M again = cria::nn::cast<float>(module);  // of the same type, and yet of its own
  const Values before = all_values(again);
  cria::nn::for_each_value(module, [](const std::string&, auto& field) {
    auto values = field.value().to_vector();
    for (auto& value : values) value += 1;
    field.value().assign(values);
  });
  check_close("after a change of the first", all_values(again), before, 0);
  check_close("after a change of the first", all_values(back), before, 0);
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_layer_can_be_converted) {
  using namespace cria::nn;
  check_there_and_back(Network<float>());
  check_there_and_back(Short<float>());
  check_there_and_back(Linear<float>(3, 2, {.bias = true}));
  check_there_and_back(Conv2d<float>(2, 4, 3, {.groups = 2}));
  check_there_and_back(Conv1d<float>(2, 4, 3, {.bias = false}));
  check_there_and_back(Embedding<float>(5, 3));
  check_there_and_back(LayerNorm<float>(4));
  check_there_and_back(GroupNorm<float>(2, 4));
  check_there_and_back(BatchNorm<float>(4));
  check_there_and_back(RmsNorm<float>(4));
  check_there_and_back(Gru<float>(3, 2, {.layers = 2}));
  check_there_and_back(Lstm<float>(3, 2));
  check_there_and_back(MultiHeadAttention<float>(4, 2));
  check_there_and_back(TransformerEncoderBlock<float>(4, 2));
  check_there_and_back(TransformerDecoderBlock<float>(4, 2));
  check_there_and_back(Lora<float>(Linear<float>(3, 2), Rng(1)));
  check_there_and_back(Sequential{Linear<float>(3, 2), Relu{}, Sequential{BatchNorm<float>(2)}});
  LlamaConfig config;
  config.vocab_size = config.hidden_size = 8;
  config.intermediate_size = 16;
  config.num_hidden_layers = config.num_attention_heads = 2;
  config.num_key_value_heads = 1;
  config.query_key_norm = true;
  check_there_and_back(LlamaForCausalLM<float>(config));
}

BOOST_AUTO_TEST_CASE(a_model_computes_in_another_type) {
  Network<float> network;
  cria::nn::initialize(network, Rng(1));
  cria::nn::freeze(network.first);
  const auto x = Tensor<float>::from({2, 3}, {1, 2, 3, -1, 0.5, 2});
  const auto narrow = cria::nn::cast<bfloat16>(network);
  static_assert(std::is_same_v<decltype(narrow), const Network<bfloat16>>);
  check_close("in bfloat16", to_values(narrow(cria::cast<bfloat16>(x))), to_values(network(x)), 0.05);
  BOOST_TEST(!narrow.first.weight.requires_grad());
  BOOST_TEST(narrow.second.weight.requires_grad());
  BOOST_TEST(!narrow.second.weight.has_grad());
}

BOOST_AUTO_TEST_CASE(a_model_moves_to_another_backend) {
  cria::nn::Sequential model{Network<float>(), [](const auto& x) { return x * 2.0f; }};
  cria::nn::initialize(model, Rng(1));
  const auto x = Tensor<float>::from({2, 3}, {1, 2, 3, -1, 0.5, 2});
  const auto here = cria::nn::to<Cpu>(model);
  static_assert(std::is_same_v<std::tuple_element_t<0, decltype(here.modules)>, Network<float, Cpu>>);
  check_close("on the CPU", to_values(here(x.to<Cpu>())), to_values(model(x)), 1e-5);
  const auto back = cria::nn::to<DefaultBackend>(here);
  check_close("and back", to_values(back(x)), to_values(model(x)), 0);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
