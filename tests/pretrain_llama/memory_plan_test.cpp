#include "pretrain_llama/memory_plan.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <initializer_list>
#include <utility>
#include <vector>

#include "cria/cria.hpp"
#include "support/error_message.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(memory_plan)

namespace {

using namespace cria;

constexpr std::int64_t length = 128;

cria::nn::LlamaConfig config(cria::nn::Recompute recompute) {
  cria::nn::LlamaConfig c;
  c.recompute = recompute;
  c.vocab_size = 1000;
  c.hidden_size = 144;
  c.intermediate_size = 384;
  c.num_hidden_layers = 3;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 2;
  c.max_position_embeddings = length;
  return c;
}

/// Bytes that the allocator got from the system for two training steps of `batch` sequences.
template <class T>
double bytes_of_training(const cria::nn::LlamaConfig& c, std::int64_t batch, int threads) {
  cpu::allocator().release_cached();
  const auto before = cpu::allocator().statistics();
  cria::nn::LlamaForCausalLM<T> model(c);
  initialize(model, Rng(1));
  AdamW optimizer(model, {});
  const Batch tokens({batch, length}, {batch, length});
  TrainStep step(model, tokens, {.threads = threads});
  for (int i = 0; i < 2; ++i) {
    step.add(tokens, Rng());
    step.update(optimizer);
  }
  const auto after = cpu::allocator().statistics();
  return static_cast<double>(after.in_use + after.cached - before.in_use - before.cached);
}

template <class T>
void check_plan(cria::nn::Recompute recompute, std::int64_t batch, std::initializer_list<int> thread_counts) {
  const auto c = config(recompute);
  for (const int threads : thread_counts) {
    const auto plan = pretrain::planned_memory(cria::nn::costs(c), {.element_size = sizeof(T),
                                                                    .length = length,
                                                                    .sequences = 8,  // of every chunk below
                                                                    .batch = 16,
                                                                    .replicas = threads});
    const auto planned = static_cast<double>(plan.tensors());
    const double taken = bytes_of_training<T>(c, batch, threads);
    // Threads that do not need most at the same moment lend each other blocks, so two may take less.
    const bool as_planned = taken < 1.1 * planned && (threads > 1 || taken > 0.9 * planned);
    BOOST_TEST(as_planned, dtype_name<T> << ", batch " << batch << ", " << threads << " threads: planned "
                                         << planned << ", taken " << taken);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(training_takes_what_was_planned_whatever_the_batch) {
  for (const auto recompute :
       {cria::nn::Recompute::none, cria::nn::Recompute::cheap, cria::nn::Recompute::attention,
        cria::nn::Recompute::mlp, cria::nn::Recompute::layer}) {
    check_plan<float>(recompute, 16, {1});
  }
  check_plan<float>(cria::nn::Recompute::none, 24, {1, 2});
  check_plan<float>(cria::nn::Recompute::layer, 16, {2});
  check_plan<bfloat16>(cria::nn::Recompute::cheap, 16, {1, 2});
  check_plan<float16>(cria::nn::Recompute::cheap, 16, {1});
}

// Of few tokens it is weights, their gradients and moments that take most.
BOOST_AUTO_TEST_CASE(each_thread_has_gradients_of_its_own) {
  const auto c = config(cria::nn::Recompute::layer);
  const auto plan = pretrain::planned_memory(
      cria::nn::costs(c), {.element_size = 4, .length = length, .sequences = 1, .batch = 2, .replicas = 2});
  const auto planned = static_cast<double>(plan.tensors());
  const double taken = bytes_of_training<float>(c, 2, 2);
  BOOST_TEST(taken < 1.1 * planned, "planned " << planned << ", taken " << taken);
}

BOOST_AUTO_TEST_CASE(a_model_that_does_not_fit_the_machine_is_refused) {
  cria::nn::LlamaConfig c;
  c.hidden_size = 1 << 16;
  c.num_hidden_layers = 1000;
  const auto plan = pretrain::planned_memory(
      cria::nn::costs(c), {.element_size = 4, .length = 256, .sequences = 4, .batch = 4, .replicas = 2});
  const std::string said = test::error_message<ConfigError>([&] { pretrain::check_memory(plan); });
  BOOST_TEST(said.starts_with("training would take "), said);
  BOOST_TEST(said.find(" MB of memory and the machine has ") != std::string::npos, said);
  BOOST_TEST(pretrain::available_memory() > 0);
}

BOOST_AUTO_TEST_CASE(memory_in_use_is_what_the_process_has_touched) {
  const std::int64_t before = pretrain::memory_in_use();
  BOOST_TEST(before > 1'000'000);
  const std::vector<char> more(100'000'000, 'x');
  BOOST_TEST(pretrain::memory_in_use() - before > static_cast<std::int64_t>(more.size()) * 9 / 10);
}

BOOST_AUTO_TEST_CASE(threads_share_a_replica_where_gradients_would_take_too_much) {
  const auto groups = [](std::int64_t threads, double parameters, std::int64_t memory) {
    const auto found = pretrain::replicas_that_fit(threads, parameters, memory);
    return std::pair(found.groups, found.threads);
  };
  using Groups = std::pair<std::int64_t, std::int64_t>;
  constexpr std::int64_t gb = 1'000'000'000;
  BOOST_TEST((groups(2, 8e6, 16 * gb) == Groups(2, 1)));
  BOOST_TEST((groups(64, 100e6, 128 * gb) == Groups(64, 1)));  // 25.6 GB of gradients
  BOOST_TEST((groups(64, 100e6, 64 * gb) == Groups(32, 2)));
  BOOST_TEST((groups(48, 1e9, 256 * gb) == Groups(16, 3)));
  BOOST_TEST((groups(7, 1e9, 32 * gb) == Groups(1, 7)));
  BOOST_TEST((groups(4, 1e9, 1 * gb) == Groups(1, 4)));
  BOOST_TEST((groups(4, 1e9, 0) == Groups(4, 1)));  // nobody knows
}

BOOST_AUTO_TEST_CASE(no_size_is_too_large_to_be_planned) {
  cria::nn::LlamaConfig c;
  c.hidden_size = c.intermediate_size = c.num_hidden_layers = c.num_attention_heads = 1'000'000;
  const pretrain::MemoryUse use{
      .element_size = 2, .length = 1'000'000, .sequences = 1'000'000, .batch = 1'000'000, .replicas = 1024};
  BOOST_TEST(pretrain::planned_memory(cria::nn::costs(c), use).total() > std::int64_t{1} << 60);
}

BOOST_AUTO_TEST_CASE(the_tokens_of_a_batch_count) {
  const cria::nn::LlamaConfig c;
  pretrain::MemoryUse use{.element_size = 4, .length = 256, .sequences = 4, .batch = 4, .replicas = 2};
  const std::int64_t before = pretrain::planned_memory(cria::nn::costs(c), use).total();
  use.batch += 1000;
  BOOST_TEST(pretrain::planned_memory(cria::nn::costs(c), use).total() - before == 1000 * 256 * 8);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
