#include "memory_plan.hpp"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <fstream>
#include <limits>
#include <utility>

#include "cria/backend/cpu/gemm.hpp"
#include "cria/core/error.hpp"
#include "cria/train/data_parallel.hpp"
#include "llama_model.hpp"

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

/// Bytes that stay a number in sums, whatever the sizes that they are computed of.
std::int64_t bytes(double number) {
  return static_cast<std::int64_t>(std::min(number, 1e18));
}

/// A number of /proc/meminfo in bytes, or the limit of the container if that is less; 0 if neither is known.
std::int64_t memory(const std::string& line) {
  std::int64_t found = std::numeric_limits<std::int64_t>::max();
  std::ifstream meminfo("/proc/meminfo");
  std::string name, unit;
  for (std::int64_t kilobytes = 0; meminfo >> name >> kilobytes;) {
    if (name == line) found = kilobytes * 1024;
    std::getline(meminfo, unit);
  }
  std::ifstream limit("/sys/fs/cgroup/memory.max");  // "max" if there is none
  if (std::int64_t bytes = 0; limit >> bytes) found = std::min(found, bytes);
  return found == std::numeric_limits<std::int64_t>::max() ? 0 : found;
}

std::int64_t machine_memory() {
  return memory("MemTotal:");
}

/// Numbers that the optimiser keeps for a weight. (Muon has one, and in a step its directions.)
std::int64_t states_of(const std::string& optimizer) {
  return optimizer == "adafactor" ? 0 : optimizer == "lion" || optimizer == "sgd" ? 1 : 2;
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
  if (partial_sums > 0) line("partial sums", partial_sums);
  line("activations", activations);
  if (copy > 0) line("copy to save", copy);
  line("workspace", workspace);
  line("program", program);
  line("total", total());
  return text;
}

ThreadGroups replicas_of(const TrainOptions& options) {
  if (options.device != "cpu") return {1};
  return replicas_that_fit(options.threads, model_costs(options).parameters, machine_memory());
}

ThreadGroups replicas_that_fit(std::int64_t threads, double parameters, std::int64_t memory) {
  for (std::int64_t groups = threads; groups > 1; --groups) {
    if (threads % groups != 0) continue;
    const double gradients = as_number(groups) * parameters * sizeof(float);
    if (memory == 0 || gradients <= as_number(memory) / 4) return {groups, threads / groups};
  }
  return {1, threads};
}

MemoryPlan memory_of(const TrainOptions& options) {
  const ThreadGroups replicas = replicas_of(options);
  const bool on_cpu = options.device == "cpu", reproducible = on_cpu && options.reproducible;
  const std::int64_t sequences =
      !on_cpu        ? options.own_batch_size()
      : reproducible ? cria::examples_of_a_chunk(options.own_batch_size(), options.max_seq_len, 1)
                     : cria::examples_of_a_chunk(options.own_batch_size(), options.max_seq_len,
                                                 replicas.groups, replicas.threads);
  const std::int64_t chunks = (options.own_batch_size() + sequences - 1) / sequences;
  const std::int64_t busy =
      std::clamp<std::int64_t>(cria::chunks_on_replicas(chunks, replicas.groups), 1, replicas.groups);
  // Each keeps sums of subtrees of every height below that of its own part of the tree, and activations take the
  // place of one that was added up.
  const std::int64_t of_replica = (chunks + busy - 1) / busy;
  const auto heights = static_cast<std::int64_t>(std::bit_width(static_cast<std::uint64_t>(of_replica)));
  return planned_memory(model_costs(options),
                        {.element_size = options.dtype == "float32" ? 4 : 2,
                         .states = states_of(options.optimizer),
                         .averages = options.ema > 0 ? 1 : 0,
                         .length = options.max_seq_len,
                         .sequences = sequences,
                         .batch = options.own_batch_size(),
                         .replicas = busy,
                         .sums = reproducible && heights > 1 ? heights : 0,
                         .copies = options.async_save,
                         .owners = options.shards_optimizer() ? options.process_count() : 1});
}

MemoryPlan planned_memory(const cria::nn::Costs& costs, const MemoryUse& use) {
  constexpr double wide = sizeof(float);
  const double count = costs.parameters, rows = as_number(use.sequences * use.length);
  const double element_size = as_number(use.element_size), replicas = as_number(use.replicas);
  const bool narrow = element_size < wide;
  MemoryPlan plan;
  plan.weights = bytes(count * element_size);
  // The embedding has one owner.
  const double owned = std::max(count / as_number(use.owners), as_number(costs.head.in * costs.head.out));
  plan.master_weights = bytes(narrow ? owned * wide : 0);
  plan.moments = bytes((as_number(use.states) * owned + as_number(use.averages) * count) * wide);
  plan.copy = use.copies ? plan.weights + plan.master_weights + plan.moments : 0;
  plan.gradients = bytes(replicas * count * wide);
  plan.partial_sums = bytes(replicas * as_number(use.sums) * count * wide);
  plan.activations = bytes(replicas * rows * (costs.kept * element_size + costs.kept_float * wide));

  const double width = as_number(costs.head.in), vocabulary = as_number(costs.head.out),
               head_rows = std::min(rows, as_number(costs.head.most_rows));
  const double head = head_rows * vocabulary * (wide + (narrow ? element_size : 0)) + rows * width * wide +
                      vocabulary * width * wide;
  plan.workspace =
      bytes(replicas * (head + rows * costs.working * element_size + cria::cpu::most_bytes_of_panels));

  // A token and the one after it, as integers of 32 bits.
  const double tokens = as_number(use.batch) * as_number(use.length) * 2 * sizeof(std::int32_t);
  plan.program = bytes(20e6 + tokens);
  return plan;
}

std::int64_t available_memory() {
  return memory("MemAvailable:");
}

std::int64_t memory_in_use() {
  std::int64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

void check_memory(const MemoryPlan& plan) {
  const std::int64_t available = available_memory();
  if (available == 0 || plan.total() <= available) return;
  throw cria::ConfigError(
      "training would take " + megabytes(plan.total()) + " of memory and the machine has " +
      megabytes(available) +
      " left; a smaller --dim, --n_layers, --max_seq_len or --batch_size, or fewer --threads" +
      (plan.partial_sums > 0 ? ", or --reproducible=false," : "") + " need less");
}

}  // namespace pretrain
