#include "pretrain_llama/memory_plan.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>

#include "cria/cria.hpp"
#include "support/error_message.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(memory_plan)

namespace {

using namespace cria;

nn::LlamaConfig config() {
  nn::LlamaConfig c;
  c.vocab_size = 1000;
  c.hidden_size = 144;
  c.intermediate_size = 384;
  c.num_hidden_layers = 4;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 2;
  c.max_position_embeddings = 128;
  return c;
}

/// Bytes that the allocator got from the system for two training steps of `batch` sequences, four at once on
/// each of two threads.
template <class T>
double bytes_of_training(std::int64_t batch) {
  cpu::allocator().release_cached();
  const auto before = cpu::allocator().statistics();
  nn::LlamaForCausalLM<T> model(config());
  initialize(model, Rng(1));
  AdamW optimizer(model, {});
  nn::DataParallel parallel(model, 2);
  const auto tokens = Tensor<std::int32_t>::zeros({4, 128});
  for (int step = 0; step < 2; ++step) {
    parallel.run(batch / 4, [&](const auto& own, std::int64_t) {
      const auto loss = own.loss(tokens, tokens);
      backward(loss);
      return static_cast<double>(loss.item());
    });
    parallel.reduce_gradients();
    optimizer.step();
  }
  const auto after = cpu::allocator().statistics();
  return static_cast<double>(after.in_use + after.cached - before.in_use - before.cached);
}

template <class T>
void check_plan() {
  const double planned = static_cast<double>(
      pretrain::planned_memory(config(), sizeof(T), 128, /*sequences=*/4, /*threads=*/2).tensors());
  for (const std::int64_t batch : {8, 32}) {
    const double taken = bytes_of_training<T>(batch);
    BOOST_TEST(std::abs(planned / taken - 1) < 0.1,
               dtype_name<T> << ", batch " << batch << ": planned " << planned << ", taken " << taken);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(training_takes_what_was_planned_whatever_the_batch) {
  check_plan<float>();
  check_plan<bfloat16>();
  check_plan<float16>();
}

BOOST_AUTO_TEST_CASE(a_model_that_does_not_fit_the_machine_is_refused) {
  const auto plan = pretrain::planned_memory(
      [] {
        nn::LlamaConfig c;
        c.hidden_size = 1 << 16;
        c.num_hidden_layers = 1000;
        c.num_attention_heads = c.num_key_value_heads = 512;
        return c;
      }(),
      4, 256, 4, 2);
  const std::string said = test::error_message<ConfigError>([&] { pretrain::check_memory(plan); });
  BOOST_TEST(said.starts_with("training would take "), said);
  BOOST_TEST(said.find(" MB of memory and the machine has ") != std::string::npos, said);
  BOOST_TEST(pretrain::available_memory() > 0);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
