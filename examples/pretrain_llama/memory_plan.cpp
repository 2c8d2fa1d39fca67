#include "memory_plan.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>
#include <utility>

#include "cria/core/error.hpp"

namespace pretrain {

namespace {

std::string megabytes(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f MB", static_cast<double>(bytes) * 1e-6);
  return text;
}

std::int64_t parameters(const cria::nn::LlamaConfig& c) {
  const std::int64_t d = c.hidden_size, kv = c.num_key_value_heads * c.head_dim();
  const std::int64_t layer = 2 * d * d + 2 * d * kv + 3 * d * c.intermediate_size + 2 * d;
  return (c.tie_word_embeddings ? 1 : 2) * c.vocab_size * d + c.num_hidden_layers * layer + d;
}

}  // namespace

std::string MemoryPlan::table() const {
  std::string text;
  const auto line = [&](const char* name, std::int64_t bytes) {
    char buffer[64];
    std::snprintf(buffer, sizeof(buffer), "  %-16s %12s\n", name, megabytes(bytes).c_str());
    text += buffer;
  };
  line("weights", weights);
  line("master weights", master_weights);
  line("moments", moments);
  line("gradients", gradients);
  line("activations", activations);
  line("workspace", workspace);
  line("program", program);
  line("total", total());
  return text;
}

MemoryPlan planned_memory(const cria::nn::LlamaConfig& c, const MemoryUse& use) {
  constexpr std::int64_t wide = sizeof(float);
  const std::int64_t count = parameters(c), rows = use.sequences * use.length;
  const std::int64_t element_size = use.element_size, threads = use.threads;
  const bool narrow = element_size < wide;
  const std::int64_t d = c.hidden_size, h = c.intermediate_size, kv = c.num_key_value_heads * c.head_dim();
  MemoryPlan plan;
  plan.weights = count * element_size;
  plan.master_weights = narrow ? count * wide : 0;
  plan.moments = 2 * count * wide;
  plan.gradients = threads * count * wide;

  // What a layer keeps of each position, in elements. `all` is what it holds when it is computed again.
  using cria::nn::Recompute;
  const std::int64_t attention = 2 * d + 2 * kv,
                     mlp = 2 * h;        // q and the heads' outputs, k and v; gate and up
  const std::int64_t cheap = 2 * d + h;  // outputs of the norms; the gated product
  const std::int64_t all = 2 * d + attention + mlp + (c.recompute == Recompute::none ? cheap : 0);
  const std::int64_t kept = c.recompute == Recompute::layer       ? d
                            : c.recompute == Recompute::attention ? all - attention
                            : c.recompute == Recompute::mlp       ? all - mlp
                                                                  : all;
  // Two reciprocals of norms and a logarithm per head are float.
  const std::int64_t layer = rows * (kept * element_size + (2 + c.num_attention_heads) * wide);
  const std::int64_t last = rows * 2 * d * element_size;  // the last norm's input and output
  plan.activations = threads * (c.num_hidden_layers * layer + last);

  const std::int64_t head_rows = std::min<std::int64_t>(rows, 256);
  const std::int64_t head = head_rows * c.vocab_size * (wide + (narrow ? element_size : 0)) +
                            rows * d * wide + c.vocab_size * d * wide;
  // Of one layer: what is computed again, and gradients.
  const std::int64_t layer_gradients =
      rows * ((c.recompute == Recompute::none ? 0 : d + h) + all - kept + 3 * h + 4 * d) * element_size;
  // Blocks of each size are kept, so the widened operands of all kinds of products count.
  const std::int64_t widened =
      (rows * (d + h + kv) + d * (h + d + kv) + (head_rows + c.vocab_size) * d) * wide;
  plan.workspace = threads * (head + layer_gradients + (use.widened ? widened : 0));

  plan.program = 20'000'000;
  return plan;
}

std::int64_t available_memory() {
  std::int64_t available = std::numeric_limits<std::int64_t>::max();
  std::ifstream meminfo("/proc/meminfo");
  std::string name, unit;
  for (std::int64_t kilobytes = 0; meminfo >> name >> kilobytes;) {
    if (name == "MemAvailable:") available = kilobytes * 1024;
    std::getline(meminfo, unit);
  }
  std::ifstream limit("/sys/fs/cgroup/memory.max");  // of the container; "max" if there is none
  if (std::int64_t bytes = 0; limit >> bytes) available = std::min(available, bytes);
  return available == std::numeric_limits<std::int64_t>::max() ? 0 : available;
}

void check_memory(const MemoryPlan& plan) {
  const std::int64_t available = available_memory();
  if (available == 0 || plan.total() <= available) return;
  throw cria::ConfigError(
      "training would take " + megabytes(plan.total()) + " of memory and the machine has " +
      megabytes(available) +
      " left; a smaller --dim, --n_layers or --max_seq_len, or fewer --threads need less");
}

}  // namespace pretrain
