#include "scale_model.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cria/core/error.hpp"
#include "cria/nn/llama_costs.hpp"
#include "memory_plan.hpp"

namespace pretrain {

namespace {

using cria::nn::Recompute;

double real(std::int64_t size) {
  return static_cast<double>(size);
}

/// Data sheets: NVIDIA H100 SXM5 80 GB (ConnectX-7, 400 Gb/s each), A100 SXM4 80 GB (200 Gb/s each), L40S
/// (PCIe 4.0 x16; 100 Gb/s each), without sparsity. Shares of products, attention and memory are those of
/// docs/gpu_by_counting.md, but an L40S's, which were fitted to llmq's table; overlap to MosaicML's. Prices
/// are what such a GPU rented for in 2025, rounded; failures are those of Llama 3 (419 in 54 days on 2,048
/// nodes). cpu: one core of a Zen 4 server in float32, whose shares were fitted to one process
/// (docs/scale.md).
const std::vector<Hardware>& all_hardware() {
  static const std::vector<Hardware> all{
      {.name = "h100",
       .flops = 989e12,
       .memory = 80e9,
       .bandwidth = 3.35e12,
       .link_bandwidth = 450e9,
       .network_bandwidth = 50e9,
       .node_gpus = 8,
       .price_per_hour = 2.5,
       .mtbf_hours = 6335},
      {.name = "a100",
       .flops = 312e12,
       .memory = 80e9,
       .bandwidth = 2.04e12,
       .link_bandwidth = 300e9,
       .network_bandwidth = 25e9,
       .node_gpus = 8,
       .price_per_hour = 1.5,
       .mtbf_hours = 6335,
       .product_share = 0.75},
      {.name = "l40s",
       .flops = 362e12,
       .memory = 48e9,
       .bandwidth = 0.864e12,
       .link_bandwidth = 32e9,
       .network_bandwidth = 12.5e9,
       .node_gpus = 8,
       .price_per_hour = 0.9,
       .mtbf_hours = 6335,
       .product_share = 0.55,
       .attention_share = 0.25},
      {.name = "cpu",
       .flops = 116e9,
       .memory = 8e9,
       .bandwidth = 20e9,
       .link_bandwidth = 4e9,
       .network_bandwidth = 1.25e9,
       .node_gpus = 2,
       .price_per_hour = 0.04,
       .mtbf_hours = 20000,
       .element_size = 4,
       .product_share = 0.9,
       .attention_share = 0.7,
       .memory_share = 1,
       .link_share = 0.8,
       .latency = 5e-6,
       .overlap = 0},
  };
  return all;
}

/// `ranks` ranks that exchange something, `inner` ranks apart in the numbering.
struct Group {
  std::int64_t ranks, inner;
};

/// How fast they do. What leaves a node takes the ways of all of the group's ranks in it.
double bytes_per_second(const Hardware& h, const Group& group) {
  const std::int64_t in_node = std::clamp<std::int64_t>(h.node_gpus / group.inner, 1, group.ranks);
  if (in_node == group.ranks) return h.link_bandwidth * h.link_share;
  return std::min(h.link_bandwidth, real(in_node) * h.network_bandwidth) * h.link_share;
}

/// `count` times, each of the ranks sends its part of `bytes` to all others, or gets the sum of theirs.
Traffic exchange(const std::string& what, const Hardware& h, const Group& group, double bytes, double count) {
  const double ranks = real(group.ranks);
  Traffic traffic{what, group.ranks * group.inner > h.node_gpus, count * bytes * (ranks - 1) / ranks};
  traffic.seconds = traffic.bytes / bytes_per_second(h, group) + count * h.latency * std::log2(ranks);
  traffic.exposed = traffic.seconds;
  return traffic;
}

cria::nn::Costs costs_of(const Workload& workload, const Layout& layout) {
  cria::nn::LlamaConfig model = workload.model;
  model.recompute = layout.recompute;
  return cria::nn::costs(model);
}

/// Divisors of a number, from the least.
std::vector<std::int64_t> divisors(std::int64_t number) {
  std::vector<std::int64_t> all;
  for (std::int64_t i = 1; i <= number; ++i) {
    if (number % i == 0) all.push_back(i);
  }
  return all;
}

std::string gigabytes(double bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f GB", bytes * 1e-9);
  return text;
}

constexpr Sharding shardings[]{Sharding::none, Sharding::optimizer, Sharding::gradients,
                               Sharding::parameters};
constexpr Recompute recomputes[]{Recompute::none, Recompute::cheap, Recompute::attention, Recompute::mlp,
                                 Recompute::layer};

}  // namespace

const Hardware& hardware(const std::string& name) {
  for (const Hardware& each : all_hardware()) {
    if (each.name == name) return each;
  }
  std::string allowed;
  for (const std::string& each : hardware_names()) allowed += (allowed.empty() ? "" : ", ") + each;
  throw cria::ConfigError("--gpu is " + (name.empty() ? "empty" : name) + "; allowed: " + allowed);
}

std::vector<std::string> hardware_names() {
  std::vector<std::string> names;
  for (const Hardware& each : all_hardware()) names.push_back(each.name);
  return names;
}

const char* name_of(Sharding sharding) {
  constexpr const char* names[]{"none", "optimizer", "gradients", "parameters"};
  return names[static_cast<int>(sharding)];
}

const char* name_of(Recompute recompute) {
  switch (recompute) {
    case Recompute::none:
      return "none";
    case Recompute::cheap:
      return "cheap";
    case Recompute::attention:
      return "attention";
    case Recompute::mlp:
      return "mlp";
    default:
      return "layer";
  }
}

double StepTime::exposed() const {
  double seconds = 0;
  for (const Traffic& each : traffic) seconds += each.exposed;
  return seconds;
}

double flops_of_step(const Workload& workload) {
  return cria::nn::costs(workload.model).flops_per_token(workload.length) * workload.tokens();
}

double utilisation(const Workload& workload, const Hardware& hardware, std::int64_t ranks, double seconds) {
  return flops_of_step(workload) / (real(ranks) * hardware.flops * seconds);
}

RankMemory memory_of_rank(const Workload& w, const Hardware& h, const Layout& layout) {
  const cria::nn::Costs costs = costs_of(w, layout);
  const bool optimizer = layout.shard == Sharding::optimizer;
  const MemoryPlan plan = planned_memory(costs, {.element_size = h.element_size,
                                                 .states = w.states,
                                                 .length = w.length,
                                                 .sequences = layout.micro_batch,
                                                 .batch = layout.micro_batch,
                                                 .replicas = 1,
                                                 .owners = optimizer ? layout.shard_ranks : 1});
  // Whole parameters have owners where the optimiser is shared; where more is, all are cut evenly.
  const double part = real(layout.tensor * layout.pipeline), sharers = real(layout.shard_ranks);
  const double activations = real(layout.tensor * layout.context);
  RankMemory memory;
  memory.weights = real(plan.weights) / part / (layout.shard == Sharding::parameters ? sharers : 1);
  const double states = part * (layout.shard > Sharding::optimizer ? sharers : 1);
  memory.master_weights = real(plan.master_weights) / states;
  memory.moments = real(plan.moments) / states;
  memory.gradients = real(plan.gradients) / states;
  // A pipeline's rank has 1 / pipeline of the layers, but as many micro-batches begun as there are ranks.
  memory.activations = real(plan.activations) / activations;
  memory.workspace = real(plan.workspace) / activations;
  if (layout.shard == Sharding::parameters) {
    const double embeddings = real(costs.head.in * costs.head.out) * (w.model.tie_word_embeddings ? 1 : 2);
    const double layer = (costs.parameters - embeddings) / real(w.model.num_hidden_layers);
    memory.gathered =
        2 * std::max(layer, embeddings / 2) * (real(h.element_size) + sizeof(float)) / real(layout.tensor);
  }
  return memory;
}

StepTime time_of_step(const Workload& w, const Hardware& h, const Layout& layout, std::int64_t sharers) {
  const cria::nn::Costs costs = costs_of(w, layout);
  const cria::nn::LlamaConfig& c = w.model;
  const double d = real(c.hidden_size), hidden = real(c.intermediate_size), q = real(c.query_size()),
               kv = real(c.key_value_size()), layers = real(c.num_hidden_layers), size = real(h.element_size);
  const double micro_steps = real(w.batch) / real(layout.data * layout.micro_batch);
  const double at_once =
      real(layout.micro_batch * w.length) / real(layout.context);  // tokens of a micro-step
  const double tokens = micro_steps * at_once / real(layout.tensor * layout.pipeline) * real(sharers);

  double layer_weights = 0;
  for (const cria::nn::Product& each : costs.products) layer_weights += real(each.in * each.out * each.count);
  const double head = real(costs.head.in * costs.head.out);
  const double attention = 2 * q * real(w.length) * layers;  // forward; twice as much backward
  const double cheap = layers * (4 * d + 3 * hidden);

  const double product_second = h.flops * h.product_share, attention_second = h.flops * h.attention_share,
               byte_second = h.bandwidth * h.memory_share;
  StepTime time;
  time.products = tokens * 6 * (layer_weights + head) / product_second;
  time.attention = tokens * 3 * attention / attention_second;
  time.elementwise =
      tokens * (layers * (16 * d + 4 * (q + kv) + 8 * hidden) * size + 12 * real(c.vocab_size)) / byte_second;
  double again = 0, attention_again = 0, elements_again = layout.recompute == Recompute::none ? 0 : cheap;
  if (layout.recompute == Recompute::attention) {
    again = layers * d * (q + 2 * kv);
    attention_again = attention;
  } else if (layout.recompute == Recompute::mlp) {
    again = layers * 2 * d * hidden;
  } else if (layout.recompute == Recompute::layer) {
    again = layer_weights;
    attention_again = attention;
    elements_again = layers * (8 * d + 2 * (q + kv) + 3 * hidden);
  }
  time.recomputed = tokens * (2 * again / product_second + attention_again / attention_second +
                              elements_again * size / byte_second);

  const double parameters = costs.parameters / real(layout.tensor * layout.pipeline);
  const double own = parameters / (layout.shard == Sharding::none ? 1 : real(layout.shard_ranks));
  time.optimizer = own * (size + sizeof(float) * (2 + 2 * real(w.states) + 1)) / byte_second * real(sharers);

  if (layout.tensor > 1) {  // sequences are gathered before a product and summed up in parts behind it
    const double times = layout.recompute == Recompute::layer ? 12 : 8;
    time.traffic.push_back(exchange("activations, tensor parallel", h, {layout.tensor, 1}, at_once * d * size,
                                    micro_steps * times * layers / real(layout.pipeline)));
  }
  if (layout.context > 1) {  // keys and values, forward and backward, and their gradients
    time.traffic.push_back(exchange("keys and values of a sequence", h, {layout.context, layout.tensor},
                                    real(layout.micro_batch * w.length) * 2 * kv / real(layout.tensor) * size,
                                    micro_steps * 3 * layers / real(layout.pipeline)));
  }
  const double computing =
      time.products + time.attention + time.elementwise + time.recomputed + time.exposed();
  if (layout.pipeline > 1) {
    time.bubble = computing * real(layout.pipeline - 1) / (real(layout.stages) * micro_steps);
  }

  const double forward = computing / 3 / micro_steps, backward = 2 * forward;
  const auto add = [&](Traffic traffic, double hidden_seconds) {  // by computing of so many seconds
    traffic.exposed = traffic.seconds - std::min(h.overlap * traffic.seconds, hidden_seconds);
    time.traffic.push_back(std::move(traffic));
  };
  const std::int64_t inner = layout.tensor * layout.context * layout.pipeline;
  const std::int64_t summing = layout.data * layout.context, shared = layout.shard_ranks;
  const double reduce = real(w.reduce_size);
  const Group together{shared, inner / layout.context},
      others{summing / shared, inner / layout.context * shared};
  const bool gathers = layout.shard == Sharding::parameters;
  if (layout.shard == Sharding::none) {
    // A sum at owners and its values back to all.
    if (summing > 1)
      add(exchange("gradients", h, {summing, inner / layout.context}, parameters * reduce, 2), backward);
  } else {
    const double times = layout.shard == Sharding::optimizer ? 1 : micro_steps;
    if (shared > 1) {
      add(exchange("gradients to their owners", h, together, parameters * reduce, times),
          times * (gathers ? backward / 2 : backward));
      const double gatherings = gathers ? 2 * micro_steps : 1;
      // Each layer's latency counts where layers are gathered one by one; the first has nothing to hide
      // behind.
      Traffic weights = exchange("weights from their owners", h, together, parameters * size, gatherings);
      if (gathers) weights.seconds += gatherings * (layers - 1) * h.latency * std::log2(real(shared));
      add(weights, gathers ? micro_steps * (forward + backward / 2) * (1 - 1 / layers) : forward);
    }
    if (others.ranks > 1)
      add(exchange("gradients of equal owners", h, others, own * reduce, 2), shared > 1 ? 0 : backward);
  }
  return time;
}

std::vector<Layout> layouts(const Workload& w, const Hardware& h, std::int64_t ranks, const Fixed& fixed) {
  std::vector<Layout> all;
  const auto allows = [](std::int64_t wanted, std::int64_t value) { return wanted == 0 || wanted == value; };
  for (const std::int64_t tensor : divisors(std::min(ranks, h.node_gpus))) {
    const std::int64_t data = ranks / tensor;
    if (ranks % tensor != 0 || !allows(fixed.tensor, tensor) || (fixed.trainer && tensor > 1)) continue;
    if (w.model.num_key_value_heads % tensor != 0 || w.model.intermediate_size % tensor != 0) continue;
    if (w.batch % data != 0) continue;
    for (const Sharding shard : shardings) {
      if (!fixed.shard.empty() && fixed.shard != name_of(shard)) continue;
      if (fixed.trainer && shard > Sharding::optimizer) continue;
      for (const std::int64_t shard_ranks : divisors(data)) {
        if ((shard == Sharding::none) != (shard_ranks == 1)) continue;
        if (shard != Sharding::none && !allows(fixed.shard_ranks, shard_ranks)) continue;
        if (fixed.trainer && shard != Sharding::none && shard_ranks != data) continue;
        for (const Recompute recompute : recomputes) {
          if (!fixed.recompute.empty() && fixed.recompute != name_of(recompute)) continue;
          for (const std::int64_t micro_batch : divisors(w.batch / data)) {
            if (!allows(fixed.micro_batch, micro_batch)) continue;
            all.push_back({.data = data,
                           .tensor = tensor,
                           .shard = shard,
                           .shard_ranks = shard_ranks,
                           .recompute = recompute,
                           .micro_batch = micro_batch});
          }
        }
      }
    }
  }
  return all;
}

Estimate best_layout(const Workload& w, const Hardware& h, std::int64_t ranks, const Fixed& fixed,
                     std::int64_t sharers) {
  const std::vector<Layout> all = layouts(w, h, ranks, fixed);
  if (all.empty()) {
    throw cria::ConfigError(
        "no layout on " + std::to_string(ranks) + " ranks divides a batch of " + std::to_string(w.batch) +
        " sequences and " + std::to_string(w.model.num_key_value_heads) +
        " key/value heads as the options say; a --batch_size that is a multiple of --gpus "
        "always does where no option fixes the layout");
  }
  Estimate best, smallest;
  double seconds = 0;
  for (const Layout& layout : all) {
    const RankMemory memory = memory_of_rank(w, h, layout);
    if (smallest.memory.total() == 0 || memory.total() < smallest.memory.total())
      smallest = {layout, memory, {}};
    if (memory.total() * real(sharers) > h.memory) continue;
    const StepTime time = time_of_step(w, h, layout, sharers);
    if (seconds > 0 && time.total() >= seconds) continue;
    seconds = time.total();
    best = {layout, memory, time};
  }
  if (seconds == 0) {
    throw cria::ConfigError("no layout on " + std::to_string(ranks) + " ranks fits " + gigabytes(h.memory) +
                            " of memory; the smallest takes " + gigabytes(smallest.memory.total()) +
                            " (tensor " + std::to_string(smallest.layout.tensor) + ", shard " +
                            name_of(smallest.layout.shard) + ", recompute " +
                            name_of(smallest.layout.recompute) +
                            "); more --gpus or a shorter --max_seq_len "
                            "need less");
  }
  return best;
}

}  // namespace pretrain
