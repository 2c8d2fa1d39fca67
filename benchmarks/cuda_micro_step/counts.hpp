#pragma once
/// What a micro-step does on a GPU, counted under the emulation of CUDA.

#include <algorithm>
#include <array>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "cria/cria.hpp"
#include "cuda_emulation/counters.hpp"

namespace micro_step {

using namespace cria;

/// The sizes of matrices in a micro-step. key_value: of all heads for keys or values together; rows: tokens.
struct Sizes {
  std::int64_t rows, hidden, key_value, intermediate, vocabulary;

  Sizes(const nn::LlamaConfig& c, std::int64_t tokens)
      : rows(tokens),
        hidden(c.hidden_size),
        key_value(c.key_value_size()),
        intermediate(c.intermediate_size),
        vocabulary(c.vocab_size) {}
};
using Size = std::int64_t Sizes::*;
constexpr std::array<std::pair<const char*, Size>, 5> size_names{{
    {"rows", &Sizes::rows},
    {"hidden", &Sizes::hidden},
    {"key_value", &Sizes::key_value},
    {"intermediate", &Sizes::intermediate},
    {"vocabulary", &Sizes::vocabulary},
}};

/// Of one kernel or of products of one shape, summed over its launches.
struct Count {
  double launches = 0, bytes_read = 0, bytes_written = 0;
  double flops = 0;            // of products, attention's included
  double necessary_flops = 0;  // without the products that attention computes a second time
  bool is_attention = false;

  double bytes() const { return bytes_read + bytes_written; }

  Count& operator+=(const Count& other) {
    launches += other.launches;
    bytes_read += other.bytes_read;
    bytes_written += other.bytes_written;
    flops += other.flops;
    necessary_flops += other.necessary_flops;
    is_attention = is_attention || other.is_attention;
    return *this;
  }
  Count operator*(double factor) const {
    return {launches * factor, bytes_read * factor,      bytes_written * factor,
            flops * factor,    necessary_flops * factor, is_attention};
  }
};
using Counts = std::map<std::string, Count>;

/// `first` + factor (second - first), kernel by kernel: what counts that grow evenly come to.
inline Counts extrapolated(const Counts& first, const Counts& second, double factor) {
  Counts result;
  for (const auto& [name, count] : first) result[name] += count * (1 - factor);
  for (const auto& [name, count] : second) result[name] += count * factor;
  return result;
}

/// A kernel's name without namespaces and template arguments but for the function that a loop over elements
/// computes; a product's with the names of its sizes: "gemm bfloat16 TN intermediate x rows x hidden".
inline std::string short_name(const std::string& name, const Sizes& sizes) {
  if (name.starts_with("gemm")) {
    const auto shape = name.rfind(' ') + 1;
    std::string result = name.substr(0, shape), separator, number;
    for (std::istringstream numbers(name.substr(shape)); std::getline(numbers, number, 'x');) {
      result += separator;
      const auto found = std::find_if(size_names.begin(), size_names.end(), [&](const auto& size) {
        return std::to_string(sizes.*size.second) == number;
      });
      result += found == size_names.end() ? number : found->first;
      separator = " x ";
    }
    return result;
  }
  const std::string plain = name.substr(0, name.find('<'));
  const auto scope = plain.rfind("::");
  std::string result = scope == std::string::npos ? plain : plain.substr(scope + 2);
  std::smatch function;
  if (std::regex_search(name, function, std::regex("ops::(\\w+)"))) result += " " + function[1].str();
  return result;
}

/// How many products of [length, dim] and [length, length] matrices a kernel of attention computes for each
/// head. Two of each kernel's are necessary; the others are scores and their gradients once more.
inline double attention_products(const std::string& name) {
  if (name.find("forward_kernel") != std::string::npos) return 2;
  if (name.find("query_gradient_kernel") != std::string::npos) return 3;
  if (name.find("key_gradient_kernel") != std::string::npos) return 4;
  return 0;
}

/// Adds the operations of attention in one layer, of which causality leaves half.
inline void add_attention_flops(const std::string& name, Count& count, const Sizes& sizes,
                                std::int64_t length) {
  const double products = attention_products(name);
  if (products == 0) return;
  const double flops = static_cast<double>(sizes.rows * length * sizes.hidden);
  count.is_attention = true;
  count.flops += products * flops;
  count.necessary_flops += 2 * flops;
}

/// Forward and backward of `batch` sequences.
inline void run_micro_step(const nn::LlamaConfig& config, std::int64_t batch) {
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
}

/// The counts of one micro-step.
inline Counts counted(const nn::LlamaConfig& config, std::int64_t batch) {
  run_micro_step(config, batch);
  const Sizes sizes(config, batch * config.max_position_embeddings);
  Counts counts;
  for (const auto& kernel : cuda_emulation::kernel_counters()) {
    const std::string name = short_name(kernel.name, sizes);
    Count count{.launches = static_cast<double>(kernel.launches),
                .bytes_read = static_cast<double>(kernel.bytes_read),
                .bytes_written = static_cast<double>(kernel.bytes_written),
                .flops = kernel.flops,
                .necessary_flops = kernel.flops};
    for (std::uint64_t launch = 0; launch < kernel.launches; ++launch) {
      add_attention_flops(name, count, sizes, config.max_position_embeddings);
    }
    counts[name] += count;
  }
  return counts;
}

}  // namespace micro_step
