#include "cria/nn/llama_costs.hpp"

#include <boost/test/unit_test.hpp>
#include <map>
#include <string>
#include <utility>

#include "cria/cria.hpp"

BOOST_AUTO_TEST_SUITE(nn)
BOOST_AUTO_TEST_SUITE(llama_costs)

namespace {

using namespace cria;

cria::nn::LlamaConfig config(bool tied, std::int64_t kv_heads) {
  cria::nn::LlamaConfig c;
  c.vocab_size = 50;
  c.hidden_size = 24;
  c.intermediate_size = 40;
  c.num_hidden_layers = 3;
  c.num_attention_heads = 4;
  c.num_key_value_heads = kv_heads;
  c.tie_word_embeddings = tied;
  return c;
}

}  // namespace

BOOST_AUTO_TEST_CASE(parameters_are_those_of_the_model) {
  for (const bool tied : {true, false}) {
    for (const std::int64_t kv_heads : {1, 2, 4}) {
      auto c = config(tied, kv_heads);
      c.attention_bias = static_cast<cria::nn::AttentionBias>(kv_heads / 2);
      c.mlp_bias = tied;
      c.query_key_norm = !tied;
      c.head_dim = kv_heads == 4 ? 10 : 0;
      const auto parameters = cria::nn::parameter_count(cria::nn::LlamaForCausalLM<float>(c));
      BOOST_TEST(cria::nn::costs(c).parameters == static_cast<double>(parameters));
    }
  }
}

BOOST_AUTO_TEST_CASE(products_have_the_matrices_of_the_model) {
  auto c = config(false, 2);
  c.head_dim = 10;
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> want, told;  // how many of [out, in]
  const cria::nn::LlamaForCausalLM<float> model(c);
  cria::nn::for_each_parameter(model, [&](const std::string& name, const auto& p) {
    if (p.shape().rank() == 2 && !name.ends_with("embed_tokens.weight"))
      ++want[{p.shape().dim(0), p.shape().dim(1)}];
  });
  const auto costs = cria::nn::costs(c);
  for (const auto& product : costs.products) told[{product.out, product.in}] += product.count;
  told[{costs.head.out, costs.head.in}] += costs.head.count;
  BOOST_TEST((told == want));
}

BOOST_AUTO_TEST_CASE(products_of_one_shape_are_one_entry) {
  const auto products = cria::nn::costs(config(false, 4)).products;  // q, k, v and o are [24, 24]
  BOOST_REQUIRE_EQUAL(products.size(), 3u);
  BOOST_TEST(products[0].count == 4 * 3);
}

// N = 8,151,840 and a sequence of 256: the reference run's estimate.
BOOST_AUTO_TEST_CASE(operations_are_the_usual_estimate) {
  const auto costs = cria::nn::costs(cria::nn::LlamaConfig());
  BOOST_TEST(costs.flops_per_token(256) == 6.0 * 8'151'840 + 12.0 * 8 * 288 * 256);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
