#pragma once
/// How long counted work should take on a GPU.

#include <algorithm>
#include <array>

#include "counts.hpp"

namespace micro_step {

/// A GPU by its data sheet.
struct Gpu {
  const char* name;
  double bytes_per_s;
  double flops_per_s;         // of dense bfloat16 products
  double wide_product_share;  // of that, which products of wide matrices are assumed to reach
};
constexpr Gpu a100{"A100", 2.039e12, 312e12, 0.75};
constexpr Gpu h100{"H100", 3.35e12, 989e12, 0.65};
// Half of the data sheet's rate, which its power does not last for: what llmq takes for the speed of light.
constexpr Gpu l40s{"L40S", 0.864e12, 181e12, 0.95};

// What is assumed of all GPUs: the shares of the data sheet that kernels and products of narrow matrices
// reach, and what a launch takes in a queue of launches, one by one or as part of a graph.
constexpr double memory_share = 0.75, narrow_product_share = 0.6, attention_share = 0.35;
constexpr double launch_seconds = 2.5e-6, graph_launch_seconds = 1.2e-6;

inline double seconds(const Count& count, const Gpu& gpu, double product_share) {
  const double share = count.is_attention ? attention_share : product_share;
  return std::max(count.bytes() / (gpu.bytes_per_s * memory_share), count.flops / (gpu.flops_per_s * share));
}

/// The kernels one after the other, no faster than they can be launched.
inline double seconds(const Counts& counts, const Gpu& gpu, double product_share, double a_launch) {
  double kernels = 0, launches = 0;
  for (const auto& [name, count] : counts) {
    kernels += seconds(count, gpu, product_share);
    launches += count.launches;
  }
  return std::max(kernels, launches * a_launch);
}

inline Count total(const Counts& counts) {
  Count sum;
  for (const auto& [name, count] : counts) sum += count;
  return sum;
}

/// The share of `seconds` that the necessary products would take alone at the data sheet's rate.
inline double share_of_light(const Counts& counts, const Gpu& gpu, double seconds) {
  return total(counts).necessary_flops / gpu.flops_per_s / seconds;
}

}  // namespace micro_step
