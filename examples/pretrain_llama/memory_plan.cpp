#include "memory_plan.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>
#include <utility>

#include "cria/backend/cpu/gemm.hpp"
#include "cria/core/error.hpp"
#include "cria/train/data_parallel.hpp"

namespace pretrain {

namespace {

std::string megabytes(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f MB", static_cast<double>(bytes) * 1e-6);
  return text;
}

double as_number(std::int64_t size) {
  return static_cast<double>(size);
}

double parameters(const cria::nn::LlamaConfig& c) {
  const double d = as_number(c.hidden_size), kv = as_number(c.key_value_size());
  const double layer = 2 * d * d + 2 * d * kv + 3 * d * as_number(c.intermediate_size) + 2 * d;
  return (c.tie_word_embeddings ? 1 : 2) * as_number(c.vocab_size) * d +
         as_number(c.num_hidden_layers) * layer + d;
}

/// Bytes that stay a number in sums, whatever the sizes that they are computed of.
std::int64_t bytes(double number) {
  return static_cast<std::int64_t>(std::min(number, 1e18));
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

MemoryPlan memory_of(const TrainOptions& options) {
  const bool widened = options.dtype == "float16" ||
                       (options.dtype == "bfloat16" && !cria::cpu::multiplies_as_is<cria::bfloat16>());
  const std::int64_t sequences =
      options.device == "cpu"
          ? cria::examples_of_a_chunk(options.batch_size, options.max_seq_len, options.threads)
          : options.batch_size;
  const std::int64_t chunks = (options.batch_size + sequences - 1) / sequences;
  return planned_memory(options.model(),
                        {.element_size = options.dtype == "float32" ? 4 : 2,
                         .widened = widened,
                         .length = options.max_seq_len,
                         .sequences = sequences,
                         .batch = options.batch_size,
                         .threads = std::clamp<std::int64_t>(cria::chunks_on_threads(chunks, options.threads),
                                                             1, options.threads)});
}

MemoryPlan planned_memory(const cria::nn::LlamaConfig& c, const MemoryUse& use) {
  constexpr double wide = sizeof(float);
  const double count = parameters(c), rows = as_number(use.sequences * use.length);
  const double element_size = as_number(use.element_size), threads = as_number(use.threads);
  const bool narrow = element_size < wide;
  const double d = as_number(c.hidden_size), h = as_number(c.intermediate_size),
               kv = as_number(c.key_value_size()), vocabulary = as_number(c.vocab_size);
  MemoryPlan plan;
  plan.weights = bytes(count * element_size);
  plan.master_weights = bytes(narrow ? count * wide : 0);
  plan.moments = bytes(2 * count * wide);
  plan.gradients = bytes(threads * count * wide);

  // What a layer keeps of each position, in elements. `all` is what it holds when it is computed again.
  using cria::nn::Recompute;
  const double attention = 2 * d + 2 * kv,
               mlp = 2 * h;        // q and the heads' outputs, k and v; gate and up
  const double cheap = 2 * d + h;  // outputs of the norms; the gated product
  const double all = 2 * d + attention + mlp + (c.recompute == Recompute::none ? cheap : 0);
  const double kept = c.recompute == Recompute::layer       ? d
                      : c.recompute == Recompute::attention ? all - attention
                      : c.recompute == Recompute::mlp       ? all - mlp
                                                            : all;
  // Two reciprocals of norms and a logarithm per head are float.
  const double layer = rows * (kept * element_size + (2 + as_number(c.num_attention_heads)) * wide);
  const double last = rows * 2 * d * element_size;  // the last norm's input and output
  plan.activations = bytes(threads * (as_number(c.num_hidden_layers) * layer + last));

  const double head_rows = std::min(rows, 256.0);
  const double head =
      head_rows * vocabulary * (wide + (narrow ? element_size : 0)) + rows * d * wide + vocabulary * d * wide;
  // Of one layer: what is computed again, and gradients.
  const double layer_gradients =
      rows * ((c.recompute == Recompute::none ? 0 : d + h) + all - kept + 3 * h + 4 * d) * element_size;
  // Blocks of each size are kept, so the widened operands of all kinds of products count.
  const double widened = (rows * (d + h + kv) + d * (h + d + kv) + (head_rows + vocabulary) * d) * wide;
  plan.workspace = bytes(threads * (head + layer_gradients + (use.widened ? widened : 0)));

  // A token and the one after it, as integers of 32 bits.
  const double tokens = as_number(use.batch) * as_number(use.length) * 2 * sizeof(std::int32_t);
  plan.program = bytes(20e6 + tokens);
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
      " left; a smaller --dim, --n_layers, --max_seq_len or --batch_size, or fewer --threads need less");
}

}  // namespace pretrain
