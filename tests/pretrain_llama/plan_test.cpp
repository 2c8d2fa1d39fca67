#include "pretrain_llama/plan.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>

#include "cria/core/error.hpp"
#include "pretrain_llama/goodput.hpp"
#include "pretrain_llama/published_runs.hpp"
#include "pretrain_llama/scale_model.hpp"
#include "support/error_message.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(plan)

namespace {

using cria::nn::Recompute;
using pretrain::Hardware, pretrain::Layout, pretrain::Sharding, pretrain::Workload, pretrain::hardware,
    pretrain::memory_of_rank, pretrain::time_of_step;

Workload eight_billion(std::int64_t batch = 64) {
  return {.model = pretrain::named_model("8b"), .length = 8192, .batch = batch};
}

double seconds(const Workload& workload, const Hardware& h, const Layout& layout) {
  return time_of_step(workload, h, layout).total();
}

std::string sentence(const pretrain::PlanOptions& options) {
  std::ostringstream out;
  return cria::test::error_message<cria::ConfigError>([&] { pretrain::plan(options, out); });
}

pretrain::Faults failures_of_llama() {
  return {
      .ranks = 16384, .nodes = 2048, .mtbf = 3600 * hardware("h100").mtbf_hours, .restart = 600, .save = 3};
}

}  // namespace

BOOST_AUTO_TEST_CASE(memory_is_what_one_computes_by_hand) {
  // Embedding and head, 32 layers (queries and outputs, keys and values, three matrices of the MLP, two
  // norms), a norm.
  constexpr double parameters = 2 * 128256.0 * 4096 +
                                32 * (2 * 4096.0 * 4096 + 2 * 4096.0 * 1024 + 3 * 4096.0 * 14336 + 2 * 4096) +
                                4096;
  const auto whole =
      memory_of_rank(eight_billion(), hardware("h100"), {.recompute = Recompute::layer, .micro_batch = 2});
  BOOST_TEST(whole.weights == 2 * parameters);
  BOOST_TEST(whole.master_weights == 4 * parameters);
  BOOST_TEST(whole.moments == 8 * parameters);
  BOOST_TEST(whole.gradients == 4 * parameters);
  // A layer's input, the last norm's input and output; two norms' and 32 heads' numbers of a layer, in float.
  BOOST_TEST(whole.activations == 2 * 8192.0 * (34 * 4096 * 2 + 32 * (2 + 32) * 4));
  BOOST_TEST(whole.gathered == 0);

  const auto part = memory_of_rank(eight_billion(), hardware("h100"),
                                   {.data = 8,
                                    .tensor = 2,
                                    .shard = Sharding::parameters,
                                    .shard_ranks = 8,
                                    .recompute = Recompute::layer});
  BOOST_TEST(part.weights == 2 * parameters / 16);
  BOOST_TEST(part.moments == 8 * parameters / 16);
  BOOST_TEST(part.gradients == 4 * parameters / 16);
  BOOST_TEST(part.activations == whole.activations / 4);
  BOOST_TEST(part.gathered > 0);

  // Whole parameters have owners: the embedding is more than an 64th of the model.
  const auto shared = memory_of_rank(eight_billion(), hardware("h100"),
                                     {.data = 64, .shard = Sharding::optimizer, .shard_ranks = 64});
  BOOST_TEST(shared.moments == 8 * 128256.0 * 4096);
  BOOST_TEST(shared.gradients == whole.gradients);
}

BOOST_AUTO_TEST_CASE(a_rank_sends_what_its_layout_says) {
  const Workload w = eight_billion();
  const Hardware& h = hardware("h100");
  const double parameters = 8030261248;
  const auto copies = time_of_step(w, h, {.data = 4}).traffic;
  BOOST_REQUIRE(copies.size() == 1u);
  BOOST_TEST(copies[0].bytes == 2 * 0.75 * 4 * parameters);  // to owners and back, in float
  BOOST_TEST(!copies[0].network);
  BOOST_TEST(time_of_step(w, h, {.data = 16}).traffic[0].network);
  // 16 micro-steps: gradients once in each, weights twice.
  const auto parts = time_of_step(w, h, {.data = 4, .shard = Sharding::parameters, .shard_ranks = 4}).traffic;
  BOOST_REQUIRE(parts.size() == 2u);
  BOOST_TEST(parts[0].bytes == 16 * 0.75 * 4 * parameters);
  BOOST_TEST(parts[1].bytes == 32 * 0.75 * 2 * parameters);
  // Four gatherings and four sums in each of 32 layers for each of 64 sequences.
  const auto tensor = time_of_step(w, h, {.tensor = 2}).traffic;
  BOOST_REQUIRE(tensor.size() == 1u);
  BOOST_TEST(tensor[0].bytes == 0.5 * 8 * 32 * 64 * 8192.0 * 4096 * 2);
}

BOOST_AUTO_TEST_CASE(better_hardware_is_faster_and_more_sharing_takes_less_memory) {
  const Workload w = eight_billion();
  const Hardware& h = hardware("h100");
  for (const Sharding shard : {Sharding::optimizer, Sharding::gradients, Sharding::parameters}) {
    double memory = std::numeric_limits<double>::infinity();
    for (const std::int64_t sharers : {2, 4, 8, 16}) {
      const Layout layout{.data = 16, .tensor = 2, .shard = shard, .shard_ranks = sharers};
      const double now = memory_of_rank(w, h, layout).total();
      BOOST_TEST(now < memory);
      memory = now;
      const double before = seconds(w, h, layout);
      for (double Hardware::*rate : {&Hardware::flops, &Hardware::bandwidth, &Hardware::link_bandwidth,
                                     &Hardware::network_bandwidth, &Hardware::overlap}) {
        Hardware better = h;
        better.*rate *= 2;
        BOOST_TEST(seconds(w, better, layout) <= before);
      }
      Hardware worse = h;
      worse.latency *= 2;
      BOOST_TEST(seconds(w, worse, layout) > before);
      Layout forgetful = layout;
      forgetful.recompute = Recompute::layer;
      BOOST_TEST(seconds(w, h, forgetful) > before);
      BOOST_TEST(memory_of_rank(w, h, forgetful).total() < now);
      // A larger batch hides more.
      BOOST_TEST(seconds(eight_billion(128), h, layout) <= 2 * before);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_search_finds_what_trying_all_finds) {
  const Hardware& h = hardware("h100");
  for (const std::int64_t ranks : {8, 32}) {
    const Workload w = eight_billion();
    double least = std::numeric_limits<double>::infinity();
    for (std::int64_t tensor = 1; tensor <= 8; tensor *= 2) {
      const std::int64_t data = ranks / tensor;
      for (const Sharding shard :
           {Sharding::none, Sharding::optimizer, Sharding::gradients, Sharding::parameters}) {
        for (std::int64_t sharers = shard == Sharding::none ? 1 : 2; sharers <= data; sharers *= 2) {
          for (const Recompute recompute :
               {Recompute::none, Recompute::cheap, Recompute::attention, Recompute::mlp, Recompute::layer}) {
            for (std::int64_t micro_batch = 1; micro_batch <= 64 / data; micro_batch *= 2) {
              const Layout layout{data, tensor, shard, sharers, recompute, micro_batch};
              if (memory_of_rank(w, h, layout).total() > h.memory) continue;
              least = std::min(least, seconds(w, h, layout));
            }
          }
          if (shard == Sharding::none) break;
        }
      }
    }
    const auto found = pretrain::best_layout(w, h, ranks);
    BOOST_TEST(found.time.total() == least);
    BOOST_TEST(found.layout.ranks() == ranks);
    BOOST_TEST(found.memory.total() <= h.memory);
  }
}

BOOST_AUTO_TEST_CASE(published_runs_are_as_near_as_the_documentation_says) {
  for (const auto& run : pretrain::published_runs()) {
    BOOST_TEST_CONTEXT(run.source << ", " << run.model << ", " << run.hardware.name << ", "
                                  << run.layout.ranks()) {
      BOOST_TEST(run.ratio() > 0.85);
      BOOST_TEST(run.ratio() < (run.source == "MosaicML" && run.hardware.name == "h100" ? 1.3 : 1.15));
    }
  }
}

BOOST_AUTO_TEST_CASE(steps_measured_on_two_cores_are_predicted_within_15_percent) {
  cria::nn::LlamaConfig tiny;
  tiny.vocab_size = 1024;
  tiny.hidden_size = 144;
  tiny.intermediate_size = 384;
  tiny.num_hidden_layers = 4;
  tiny.num_attention_heads = 4;
  tiny.num_key_value_heads = 2;
  const Workload w{.model = tiny, .length = 256, .batch = 16};
  Hardware h = hardware("cpu");
  h.node_gpus = 4;
  const auto ratio = [&](std::int64_t ranks, std::int64_t sharers, double measured) {
    return time_of_step(w, h, {.data = ranks, .micro_batch = 4}, sharers).total() / measured;
  };
  BOOST_TEST(std::abs(ratio(1, 1, 0.3252) - 1) < 0.15);  // docs/scale.md
  BOOST_TEST(std::abs(ratio(2, 1, 0.1673) - 1) < 0.15);
  BOOST_TEST(std::abs(ratio(4, 2, 0.1809) - 1) < 0.15);
}

BOOST_AUTO_TEST_CASE(the_expected_maximum_of_normal_numbers_is_known) {
  BOOST_TEST(std::abs(pretrain::expected_maximum(1)) < 1e-9);
  BOOST_TEST(std::abs(pretrain::expected_maximum(2) - 1 / std::sqrt(std::acos(-1.0))) < 1e-6);
  BOOST_TEST(std::abs(pretrain::expected_maximum(3) - 1.5 / std::sqrt(std::acos(-1.0))) < 1e-6);
  BOOST_TEST(pretrain::expected_maximum(16384) > 3.9);
}

BOOST_AUTO_TEST_CASE(simulated_goodput_is_that_of_Daly) {
  const auto faults = failures_of_llama();
  const auto all = pretrain::goodput_by_interval(faults);
  for (const auto& [interval, g] : all) {
    BOOST_TEST(std::abs(g.useful - pretrain::daly_goodput(faults, interval)) < 0.01);
    BOOST_TEST(std::abs(g.useful + g.stragglers + g.saves + g.lost_work + g.restarts - 1) < 1e-6);
  }
  const double best = pretrain::best_interval(all).interval;
  BOOST_TEST(best / pretrain::daly_interval(faults.save, faults.run_mtbf()) < 1.5);
  BOOST_TEST(best / pretrain::daly_interval(faults.save, faults.run_mtbf()) > 1 / 1.5);
  BOOST_TEST(pretrain::young_interval(2, 100) == 20);
  BOOST_TEST(pretrain::daly_interval(200, 100) == 100);
}

BOOST_AUTO_TEST_CASE(llama_3_was_interrupted_419_times_in_54_days) {
  auto faults = failures_of_llama();
  const auto run = pretrain::simulate(faults, 240, 54 * 86400.0, 1);
  BOOST_TEST(std::abs(run.failures - 419) < 3 * std::sqrt(419.0));
  BOOST_TEST(run.useful > 0.9);
  faults.jitter = 0.005;
  faults.slow_mtbf = 3600 * 20000;
  const auto waiting = pretrain::simulate(faults, 240, 54 * 86400.0, 1);
  BOOST_TEST(waiting.stragglers > 0.02);
  BOOST_TEST(waiting.useful < run.useful);
  faults.slow_mtbf = 0;
  BOOST_TEST(pretrain::simulate(faults, 240, 54 * 86400.0, 1).stragglers < waiting.stragglers);
}

BOOST_AUTO_TEST_CASE(a_plan_says_what_it_found) {
  std::ostringstream out;
  pretrain::plan({}, out);
  for (const char* part : {"8.03 billion parameters", "memory of a rank", "tokens/s", "MFU", "save every",
                           "not in pretrain_llama train yet: ", "costs"}) {
    BOOST_TEST((out.str().find(part) != std::string::npos), part);
  }
}

BOOST_AUTO_TEST_CASE(bad_values_get_sentences) {
  BOOST_TEST(sentence({.model = "9b"}) ==
             "--model is 9b; allowed: 8b, 70b, 405b, or a folder with a config.json");
  BOOST_TEST(sentence({.gpu = "tpu"}) == "--gpu is tpu; allowed: h100, a100, l40s, cpu");
  BOOST_TEST(sentence({.gpus = 0}) == "--gpus is 0; it must be from 1 to 1000000");
  BOOST_TEST(sentence({.shard = "all"}) ==
             "--shard is all; allowed: nothing, none, optimizer, gradients, parameters");
  BOOST_TEST(sentence({.jitter = 1}) == "--jitter is 1; it must be in [0, 1)");
  BOOST_TEST(sentence({.gpus = 8, .ranks_per_gpu = 3}) == "--ranks_per_gpu is 3; it must divide --gpus=8");
  BOOST_TEST(sentence({.model = "405b"})
                 .starts_with("no layout on 8 ranks fits 80.0 GB of memory; the smallest takes "));
  BOOST_TEST(sentence({.gpus = 8, .batch_size = 7, .tensor_parallel = 1})
                 .starts_with("no layout on 8 ranks divides a batch of 7 sequences"));
  BOOST_TEST(
      sentence({.model = "8b", .gpus = 64, .mtbf_hours = 0.0001}).starts_with("the run would fail every "));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
