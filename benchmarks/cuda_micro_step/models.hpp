#pragma once
/// Predictions for the models that IST-DASLab/llmq, a trainer in C++ and CUDA, publishes its speed for.

#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "growth.hpp"
#include "roofline.hpp"

namespace micro_step {

struct Model {
  const char* name;
  nn::LlamaConfig config;
  /// Share of the speed of light that llmq publishes in bfloat16 on one H100 and one L40S.
  double published_h100, published_l40s;
};

inline nn::LlamaConfig shape(std::int64_t hidden, std::int64_t layers, std::int64_t heads,
                             std::int64_t key_value_heads, std::int64_t intermediate, std::int64_t vocabulary,
                             std::int64_t length) {
  nn::LlamaConfig config;
  config.hidden_size = hidden;
  config.num_hidden_layers = layers;
  config.num_attention_heads = heads;
  config.num_key_value_heads = key_value_heads;
  config.intermediate_size = intermediate;
  config.vocab_size = vocabulary;
  config.max_position_embeddings = length;
  config.recompute = nn::Recompute::none;
  return config;
}

/// Qwen2.5's sizes; its biases of queries, keys and values are left out.
inline std::vector<Model> published_models() {
  std::vector<Model> models{
      {"0.5B", shape(896, 24, 14, 2, 4864, 151936, 1024), 0.45, 0.72},
      {"1.5B", shape(1536, 28, 12, 2, 8960, 151936, 1024), 0.55, 0.87},
      {"3B", shape(2048, 36, 16, 2, 11008, 151936, 1024), 0.57, 0.93},
      {"7B", shape(3584, 28, 28, 4, 18944, 152064, 1024), 0.60, 0.93},
  };
  models.back().config.tie_word_embeddings = false;
  return models;
}

inline double parameters(const nn::LlamaConfig& c) {
  const Sizes s(c, 0);
  const auto layer = 2 * s.hidden * (s.hidden + s.key_value) + 3 * s.hidden * s.intermediate + 2 * s.hidden;
  const auto tables = (c.tie_word_embeddings ? 1 : 2) * s.vocabulary * s.hidden;
  return static_cast<double>(c.num_hidden_layers * layer + tables + s.hidden);
}

/// Counts of small models, grown to those of large ones.
class SmallCounts {
 public:
  SmallCounts() {
    nn::LlamaConfig deeper = config_;
    ++deeper.num_hidden_layers;
    counted(config_, batch_);  // what is done once is left out
    one_layer_ = counted(config_, batch_);
    two_layers_ = counted(deeper, batch_);
  }

  Counts grown_to(const nn::LlamaConfig& config, std::int64_t batch) const {
    const Sizes to(config, batch * config.max_position_embeddings);
    const Counts deep =
        extrapolated(one_layer_, two_layers_, static_cast<double>(config.num_hidden_layers - 1));
    return grown(deep, Sizes(config_, batch_ * config_.max_position_embeddings), to,
                 static_cast<double>(config.max_position_embeddings) /
                     static_cast<double>(config_.max_position_embeddings));
  }

 private:
  // No two sizes are equal, and heads are as in the large models.
  nn::LlamaConfig config_ = shape(320, 1, 5, 1, 768, 1024, 128);
  std::int64_t batch_ = 2;
  Counts one_layer_, two_layers_;
};

/// All products as one kernel: the names of those of a part of the logits do not tell which size is which.
inline Counts with_joint_products(const Counts& counts) {
  Counts result;
  for (const auto& [name, count] : counts) result[name.starts_with("gemm") ? "gemm" : name] += count;
  return result;
}

/// The largest error of a kernel's bytes that were grown to another small model's, which holds its logits in
/// three parts, as a share of all bytes. Throws if it, or that of the operations, is more than a hundredth.
inline double check_growth(const SmallCounts& small) {
  const auto other = shape(512, 3, 8, 4, 640, 3584, 256);
  const auto [logits, rows] = std::pair(cuda::logits_at_once, cuda::fewest_logit_rows);
  cuda::logits_at_once = 0;
  cuda::fewest_logit_rows = 256;
  const Counts expected = with_joint_products(counted(other, 3));
  const Counts predicted = with_joint_products(small.grown_to(other, 3));
  cuda::logits_at_once = logits;
  cuda::fewest_logit_rows = rows;
  const double bytes = total(expected).bytes();
  const double flops = total(predicted).flops / total(expected).flops - 1;
  double worst = 0;
  std::string worst_name;
  for (const auto& [name, count] : expected) {
    const auto found = predicted.find(name);
    const double error = std::abs((found == predicted.end() ? 0 : found->second.bytes()) - count.bytes());
    if (error <= worst * bytes) continue;
    worst = error / bytes;
    worst_name = name;
  }
  if (worst > 0.01 || std::abs(flops) > 0.01) {
    throw std::runtime_error("grown counts are wrong: bytes of " + worst_name + " by " +
                             std::to_string(worst) + " of all, operations by " + std::to_string(flops) +
                             "; see elements() in growth.hpp");
  }
  return worst;
}

/// The shares of a GPU's time that products, attention and all other kernels take.
struct TimeShares {
  double products = 0, attention = 0, others = 0;

  TimeShares(const Counts& counts, const Gpu& gpu) {
    for (const auto& [name, count] : counts) {
      double& share = count.is_attention ? attention : count.flops > 0 ? products : others;
      share += seconds(count, gpu, gpu.wide_product_share);
    }
    const double all = products + attention + others;
    products /= all;
    attention /= all;
    others /= all;
  }
};

inline void print_shapes(const std::vector<Model>& models) {
  std::printf(
      "| model | hidden | layers | heads | key/value heads | intermediate | vocabulary | parameters |\n");
  std::printf("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
  for (const Model& model : models) {
    const nn::LlamaConfig& c = model.config;
    std::printf("| %s | %lld | %lld | %lld | %lld | %lld | %lld | %.2f billion |\n", model.name,
                static_cast<long long>(c.hidden_size), static_cast<long long>(c.num_hidden_layers),
                static_cast<long long>(c.num_attention_heads), static_cast<long long>(c.num_key_value_heads),
                static_cast<long long>(c.intermediate_size), static_cast<long long>(c.vocab_size),
                parameters(c) * 1e-9);
  }
  std::printf("\n");
}

inline void print_models() {
  constexpr std::int64_t batch = 8;
  const std::vector<Model> models = published_models();
  const SmallCounts small;
  std::printf(
      "Predicted, from the counts of a small model: micro-steps of %lld sequences of 1024 tokens, bfloat16. "
      "Grown to\nanother small model, no kernel's bytes are wrong by more than %.2f %% of all.\n\n",
      static_cast<long long>(batch), 100 * check_growth(small));
  print_shapes(models);
  std::printf("| model |");
  for (const Gpu& gpu : {a100, h100, l40s}) std::printf(" %s, tokens/s | of light |", gpu.name);
  std::printf(" llmq, H100 | llmq, L40S | H100: products | attention | others |\n|");
  for (int column = 0; column < 12; ++column) std::printf(column == 0 ? " --- |" : " ---: |");
  std::printf("\n");
  for (const Model& model : models) {
    const Counts counts = small.grown_to(model.config, batch);
    std::printf("| %s |", model.name);
    for (const Gpu& gpu : {a100, h100, l40s}) {
      const double time = seconds(counts, gpu, gpu.wide_product_share, launch_seconds);
      const auto tokens = static_cast<double>(batch * model.config.max_position_embeddings);
      std::printf(" %.1f thousand | %.0f %% |", tokens / time * 1e-3,
                  100 * share_of_light(counts, gpu, time));
    }
    const TimeShares shares(counts, h100);
    std::printf(" %.0f %% | %.0f %% | %.0f %% | %.0f %% | %.0f %% |\n", 100 * model.published_h100,
                100 * model.published_l40s, 100 * shares.products, 100 * shares.attention,
                100 * shares.others);
  }
  std::printf("\n");
}

}  // namespace micro_step
