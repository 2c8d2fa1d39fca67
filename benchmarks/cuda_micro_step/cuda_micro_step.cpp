// What a micro-step of the reference model does on a GPU, counted under the emulation of CUDA, and how long
// it should take by that: cuda_micro_step prints, for each kernel, launches, bytes of device memory,
// operations, and predicted microseconds. Nothing is timed. Two small batches are run; all counts grow by the
// same amount with each sequence.

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "cria/cria.hpp"
#include "cuda_emulation/counters.hpp"

namespace {

using namespace cria;

/// A GPU by its data sheet.
struct Gpu {
  const char* name;
  double bytes_per_s;
  double flops_per_s;  // of dense bfloat16 products
};
constexpr std::array<Gpu, 2> gpus{{
    {"A100", 2.039e12, 312e12},
    {"H100", 3.35e12, 989e12},
}};

// What is assumed of all GPUs: the shares of the data sheet that kernels reach, and what a launch takes in a
// queue of launches, one by one or as part of a graph.
constexpr double memory_share = 0.75, product_share = 0.6, attention_share = 0.35;
constexpr double launch_seconds = 2.5e-6, graph_launch_seconds = 1.2e-6;

struct Count {
  double launches = 0, bytes_read = 0, bytes_written = 0, flops = 0;
  bool is_attention = false;

  double seconds(const Gpu& gpu) const {
    const double share = is_attention ? attention_share : product_share;
    return std::max((bytes_read + bytes_written) / (gpu.bytes_per_s * memory_share),
                    flops / (gpu.flops_per_s * share));
  }
};
using Counts = std::map<std::string, Count>;

/// A kernel's name without namespaces and template arguments but for the function that a loop over elements
/// computes; a product's with "rows" for the number of tokens, which grows with the batch.
std::string short_name(const std::string& name, std::int64_t tokens) {
  if (name.starts_with("gemm")) {
    return std::regex_replace(name, std::regex("([x ])" + std::to_string(tokens) + "(?=x|$)"), "$1rows");
  }
  const std::string plain = name.substr(0, name.find('<'));
  const auto scope = plain.rfind("::");
  std::string result = scope == std::string::npos ? plain : plain.substr(scope + 2);
  std::smatch function;
  if (std::regex_search(name, function, std::regex("ops::(\\w+)"))) result += " " + function[1].str();
  return result;
}

/// Operations of attention's kernels in one launch: products of [length, length] and [length, dim], of which
/// causality leaves half.
double attention_flops(const std::string& name, const nn::LlamaConfig& c, std::int64_t batch) {
  const double product = static_cast<double>(batch * c.max_position_embeddings * c.max_position_embeddings) *
                         static_cast<double>(c.num_attention_heads * c.head_dim());
  if (name.find("flash::forward") != std::string::npos) return 2 * product;
  if (name.find("flash::query_gradient") != std::string::npos) return 3 * product;
  if (name.find("flash::key_gradient") != std::string::npos) return 4 * product;
  return 0;
}

/// The counts of one micro-step: forward and backward of `batch` sequences.
Counts micro_step(const nn::LlamaConfig& config, std::int64_t batch) {
  nn::LlamaForCausalLM<bfloat16, Cuda> model(config);
  initialize(model, Rng(1337));
  Rng rng(1);
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < batch * config.max_position_embeddings; ++i) {
    tokens.push_back(static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(config.vocab_size))));
  }
  const auto x = Tensor<std::int32_t, Cuda>::from({batch, config.max_position_embeddings}, tokens);
  cuda_emulation::reset_counters();
  backward(model.loss(x, x));
  Counts counts;
  for (const auto& kernel : cuda_emulation::kernel_counters()) {
    Count& count = counts[short_name(kernel.name, x.size())];
    count.launches += static_cast<double>(kernel.launches);
    count.bytes_read += static_cast<double>(kernel.bytes_read);
    count.bytes_written += static_cast<double>(kernel.bytes_written);
    const double attention = attention_flops(kernel.name, config, batch);
    count.is_attention = count.is_attention || attention > 0;
    count.flops += kernel.flops + attention * static_cast<double>(kernel.launches);
  }
  return counts;
}

/// The counts for `batch` sequences, from those for one and for two.
Counts extrapolated(const Counts& one, const Counts& two, std::int64_t batch) {
  Counts result = two;
  for (auto& [name, count] : result) {
    const auto found = one.find(name);
    const Count before = found == one.end() ? Count{} : found->second;
    const auto extend = [&](double& value, double first) {
      value = first + (value - first) * static_cast<double>(batch - 1);
    };
    extend(count.bytes_read, before.bytes_read);
    extend(count.bytes_written, before.bytes_written);
    extend(count.flops, before.flops);
  }
  return result;
}

double launches(const Counts& counts) {
  double sum = 0;
  for (const auto& [name, count] : counts) sum += count.launches;
  return sum;
}

}  // namespace

int main() {
  nn::LlamaConfig config;
  config.recompute = nn::Recompute::none;  // a GPU has the memory
  constexpr std::int64_t batch = 128;
  micro_step(config, 1);  // what is done once is left out
  const Counts one = micro_step(config, 1);
  const Counts counts = extrapolated(one, micro_step(config, 2), batch);
  nn::LlamaConfig smaller = config;
  --smaller.num_hidden_layers;
  std::vector<std::pair<std::string, Count>> rows(counts.begin(), counts.end());
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return a.second.seconds(gpus[0]) > b.second.seconds(gpus[0]);
  });
  const double tokens = static_cast<double>(batch * config.max_position_embeddings);
  std::printf(
      "A micro-step of the reference model, %lld sequences of %lld tokens, bfloat16: counted, not timed.\n\n",
      static_cast<long long>(batch), static_cast<long long>(config.max_position_embeddings));
  std::printf("| kernel | launches | MB read | MB written | GFLOP |");
  for (const Gpu& gpu : gpus) std::printf(" %s us |", gpu.name);
  std::printf("\n| --- | ---: | ---: | ---: | ---: |");
  for (std::size_t i = 0; i < gpus.size(); ++i) std::printf(" ---: |");
  std::printf("\n");
  Count total;
  std::array<double, gpus.size()> seconds{};
  for (const auto& [name, count] : rows) {
    std::printf("| %s | %.0f | %.1f | %.1f | %.1f |", name.c_str(), count.launches, count.bytes_read * 1e-6,
                count.bytes_written * 1e-6, count.flops * 1e-9);
    for (std::size_t i = 0; i < gpus.size(); ++i) {
      std::printf(" %.0f |", count.seconds(gpus[i]) * 1e6);
      seconds[i] += count.seconds(gpus[i]);
    }
    std::printf("\n");
    total.launches += count.launches;
    total.bytes_read += count.bytes_read;
    total.bytes_written += count.bytes_written;
    total.flops += count.flops;
  }
  std::printf("| all | %.0f | %.1f | %.1f | %.1f |", total.launches, total.bytes_read * 1e-6,
              total.bytes_written * 1e-6, total.flops * 1e-9);
  for (const double each : seconds) std::printf(" %.0f |", each * 1e6);
  std::printf("\n\nlaunches a layer: %.0f\n", launches(one) - launches(micro_step(smaller, 1)));
  for (std::size_t i = 0; i < gpus.size(); ++i) {
    const double plain = std::max(seconds[i], total.launches * launch_seconds);
    const double graph = std::max(seconds[i], total.launches * graph_launch_seconds);
    std::printf(
        "%s, predicted: %.0f thousand tokens/s, %.0f as a graph, %.0f %% of the time at the data sheet's "
        "rates\n",
        gpus[i].name, tokens / plain * 1e-3, tokens / graph * 1e-3,
        100 * total.flops / gpus[i].flops_per_s / graph);
  }
}
