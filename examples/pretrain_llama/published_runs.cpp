#include "published_runs.hpp"

#include <cstdio>

#include "cria/nn/llama_costs.hpp"
#include "plan.hpp"

namespace pretrain {

namespace {

using cria::nn::LlamaConfig;
using cria::nn::Recompute;

LlamaConfig qwen(std::int64_t hidden, std::int64_t layers, std::int64_t heads, std::int64_t key_value_heads,
                 std::int64_t intermediate, bool tied) {
  return {.vocab_size = tied ? 151936 : 152064,
          .hidden_size = hidden,
          .intermediate_size = intermediate,
          .num_hidden_layers = layers,
          .num_attention_heads = heads,
          .num_key_value_heads = key_value_heads,
          .rope_parameters = {},
          .tie_word_embeddings = tied,
          .attention_bias = cria::nn::AttentionBias::query_key_value};
}

/// MPT's MLP is 4 hidden wide and has no gate: as many weights as a gated one of 8/3 hidden.
LlamaConfig mpt(std::int64_t hidden, std::int64_t layers) {
  return {.vocab_size = 50368,
          .hidden_size = hidden,
          .intermediate_size = 8 * hidden / 3,
          .num_hidden_layers = layers,
          .num_attention_heads = hidden / 128,
          .num_key_value_heads = hidden / 128,
          .rope_parameters = {},
          .tie_word_embeddings = true};
}

}  // namespace

double PublishedRun::published_mfu() const {
  if (mfu > 0) return mfu;
  return utilisation(workload, hardware, layout.ranks(), workload.tokens() / tokens_per_second);
}

double PublishedRun::predicted_mfu() const {
  const cria::nn::Costs costs = cria::nn::costs(workload.model);
  const double counted = causal ? (costs.flops_per_token(0) + costs.flops_per_token(workload.length)) / 2 /
                                      costs.flops_per_token(workload.length)
                                : 1;
  return counted *
         utilisation(workload, hardware, layout.ranks(), time_of_step(workload, hardware, layout).total());
}

std::vector<PublishedRun> published_runs() {
  std::vector<PublishedRun> all;
  const auto add_llmq = [&](const char* model, const LlamaConfig& config, const char* gpu, std::int64_t gpus,
                            std::int64_t micro_batch, Recompute recompute, double tokens_per_second) {
    all.push_back({.source = "llmq",
                   .model = model,
                   .hardware = hardware(gpu),
                   .workload = {.model = config, .length = 1024, .batch = 512, .reduce_size = 2},
                   .layout = {.data = gpus,
                              .shard = gpus > 1 ? Sharding::optimizer : Sharding::none,
                              .shard_ranks = gpus,
                              .recompute = recompute,
                              .micro_batch = micro_batch},
                   .tokens_per_second = tokens_per_second,
                   .mfu = 0,
                   .fitted = gpus == 1});
  };
  const LlamaConfig half = qwen(896, 24, 14, 2, 4864, true), small = qwen(1536, 28, 12, 2, 8960, true),
                    three = qwen(2048, 36, 16, 2, 11008, true), seven = qwen(3584, 28, 28, 4, 18944, false);
  add_llmq("Qwen2.5 0.5B", half, "h100", 1, 32, Recompute::none, 144e3);
  add_llmq("Qwen2.5 1.5B", small, "h100", 1, 16, Recompute::none, 58e3);
  add_llmq("Qwen2.5 3B", three, "h100", 1, 8, Recompute::none, 30e3);
  add_llmq("Qwen2.5 7B", seven, "h100", 1, 4, Recompute::none, 14e3);
  add_llmq("Qwen2.5 0.5B", half, "l40s", 1, 16, Recompute::none, 42e3);
  add_llmq("Qwen2.5 1.5B", small, "l40s", 1, 8, Recompute::none, 17e3);
  add_llmq("Qwen2.5 3B", three, "l40s", 1, 4, Recompute::none, 8.9e3);
  add_llmq("Qwen2.5 0.5B", half, "l40s", 4, 16, Recompute::none, 170e3);
  add_llmq("Qwen2.5 1.5B", small, "l40s", 4, 8, Recompute::none, 65e3);
  add_llmq("Qwen2.5 3B", three, "l40s", 4, 4, Recompute::none, 35e3);

  const auto add_mpt = [&](const char* model, const LlamaConfig& config, const char* gpu, std::int64_t gpus,
                           std::int64_t micro_batch, std::int64_t batch, bool checkpoints,
                           double tokens_per_second) {
    all.push_back({.source = "MosaicML",
                   .model = model,
                   .hardware = hardware(gpu),
                   .workload = {.model = config, .length = 2048, .batch = batch},
                   .layout = {.data = gpus,
                              .shard = Sharding::parameters,
                              .shard_ranks = gpus,
                              .recompute = checkpoints ? Recompute::layer : Recompute::none,
                              .micro_batch = micro_batch},
                   .tokens_per_second = tokens_per_second,
                   .mfu = 0,
                   .fitted = true});
  };
  const LlamaConfig mpt3 = mpt(2560, 32), mpt7 = mpt(4096, 32), mpt13 = mpt(5120, 40), mpt30 = mpt(7168, 48),
                    mpt70 = mpt(8192, 80);
  add_mpt("MPT 3B", mpt3, "h100", 64, 6, 1152, false, 1441663);
  add_mpt("MPT 7B", mpt7, "h100", 8, 6, 48, false, 85144);
  add_mpt("MPT 13B", mpt13, "h100", 8, 2, 16, false, 38336);
  add_mpt("MPT 13B", mpt13, "h100", 64, 2, 128, false, 307209);
  add_mpt("MPT 30B", mpt30, "h100", 32, 14, 1344, true, 73860);
  add_mpt("MPT 70B", mpt70, "h100", 64, 8, 2048, true, 66523);
  add_mpt("MPT 7B", mpt7, "a100", 8, 6, 96, false, 37130);
  add_mpt("MPT 13B", mpt13, "a100", 8, 2, 48, false, 18097);
  add_mpt("MPT 30B", mpt30, "a100", 8, 3, 504, true, 7330);
  add_mpt("MPT 70B", mpt70, "a100", 64, 8, 2048, true, 26274);

  // Idle time of the pipeline of 16 ranks as if each layer were a stage of its own, 8 of a rank.
  const auto add_llama = [&](std::int64_t length, std::int64_t batch, std::int64_t data, std::int64_t context,
                             double mfu) {
    all.push_back({.source = "Llama 3",
                   .model = "Llama 3 405B",
                   .hardware = hardware("h100"),
                   .workload = {.model = named_model("405b"), .length = length, .batch = batch},
                   .layout = {.data = data,
                              .tensor = 8,
                              .shard = Sharding::optimizer,
                              .shard_ranks = data,
                              .recompute = Recompute::none,
                              .context = context,
                              .pipeline = 16,
                              .stages = 8},
                   .tokens_per_second = 0,
                   .mfu = mfu,
                   .fitted = false,
                   .causal = true});
  };
  add_llama(8192, 2048, 64, 1, 0.43);
  add_llama(8192, 2048, 128, 1, 0.41);
  add_llama(131072, 128, 8, 16, 0.38);
  return all;
}

std::string published_table() {
  std::string text = "source    model         gpu    gpus     length  published MFU  predicted  ratio\n";
  for (const PublishedRun& run : published_runs()) {
    char line[160];
    std::snprintf(line, sizeof(line), "%-9s %-13s %-5s %6lld %9lld %12.1f %% %8.1f %% %6.2f  %s\n",
                  run.source.c_str(), run.model.c_str(), run.hardware.name.c_str(),
                  static_cast<long long>(run.layout.ranks()), static_cast<long long>(run.workload.length),
                  100 * run.published_mfu(), 100 * run.predicted_mfu(), run.ratio(),
                  run.fitted ? "fitted" : "predicted");
    text += line;
  }
  return text;
}

}  // namespace pretrain
