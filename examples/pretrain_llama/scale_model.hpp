#pragma once
/// How long a training step takes on many processors, and what each of them has to hold: by formulas, before
/// there are any.

#include <cstdint>
#include <string>
#include <vector>

#include "cria/nn/llama.hpp"

namespace pretrain {

/// One processor (a GPU, or a core) among many. Rates are those of data sheets; shares say what of them
/// programs reach.
struct Hardware {
  std::string name;
  double flops;              // operations a second in the dtype of `element_size`
  double memory;             // bytes
  double bandwidth;          // of that memory, bytes a second
  double link_bandwidth;     // to others in the same node, bytes a second in one direction
  double network_bandwidth;  // to other nodes, of each processor
  std::int64_t node_gpus;    // processors of a node
  double price_per_hour;     // of a processor, in dollars
  double mtbf_hours;         // mean time between failures of a node
  std::int64_t element_size = 2;

  double product_share = 0.65;    // of flops, in matrix products
  double attention_share = 0.35;  // of flops, in attention
  double memory_share = 0.75;     // of bandwidth
  double link_share = 0.8;        // of both bandwidths
  double latency = 10e-6;         // seconds of a message
  double overlap = 0.25;          // share of an exchange that hides behind computing, if there is enough
};

/// h100, a100, l40s or cpu. Throws cria::ConfigError for another name.
const Hardware& hardware(const std::string& name);
std::vector<std::string> hardware_names();

/// What is divided among the ranks that share a replica: ZeRO's stages, Rajbhandari et al. 2020.
enum class Sharding { none, optimizer, gradients, parameters };

const char* name_of(Sharding sharding);
const char* name_of(cria::nn::Recompute recompute);

/// How a model is laid out on ranks. The last three are there to describe published runs; the search leaves
/// them at 1, since cria has none of them.
struct Layout {
  std::int64_t data = 1;    // groups of ranks with examples of their own
  std::int64_t tensor = 1;  // ranks that share each layer and its sequences (Korthikanti et al. 2022)
  Sharding shard = Sharding::none;
  std::int64_t shard_ranks = 1;  // of the data groups, so many keep one copy together
  cria::nn::Recompute recompute = cria::nn::Recompute::cheap;
  std::int64_t micro_batch = 1;  // sequences of a data group at once
  std::int64_t context = 1;      // ranks that share a sequence
  std::int64_t pipeline = 1;     // ranks that have some layers each
  std::int64_t stages = 1;  // of such a rank: 1 / stages of the pipeline's idle time (Narayanan et al. 2021)

  std::int64_t ranks() const { return data * tensor * context * pipeline; }
};

/// What is trained.
struct Workload {
  cria::nn::LlamaConfig model;
  std::int64_t length;           // tokens of a sequence
  std::int64_t batch;            // sequences of a step, of all ranks together
  std::int64_t reduce_size = 4;  // bytes of a gradient's element on its way
  std::int64_t states = 2;       // float numbers that the optimiser keeps for a weight

  double tokens() const { return static_cast<double>(length) * static_cast<double>(batch); }
};

/// Bytes that a rank holds, by part.
struct RankMemory {
  double weights = 0, master_weights = 0, moments = 0, gradients = 0;
  double activations = 0;
  double gathered = 0;   // weights of two layers, if each rank has but a part of them
  double workspace = 0;  // gradients of activations, logits, and what kernels work in

  double total() const {
    return weights + master_weights + moments + gradients + activations + gathered + workspace;
  }
};

/// What a rank sends in a step for one purpose.
struct Traffic {
  std::string what;
  bool network = false;  // whether it leaves the node
  double bytes = 0;      // that the rank sends
  double seconds = 0;
  double exposed = 0;  // seconds that nothing hides
};

/// Where the time of a step goes, in seconds.
struct StepTime {
  double products = 0, attention = 0;
  double elementwise = 0;  // operations that wait for memory: norms, SwiGLU, rotations, logits
  double recomputed = 0;   // what backward computes once more, of all three kinds
  std::vector<Traffic> traffic;
  double bubble = 0;     // a pipeline's idle time
  double optimizer = 0;  // the update

  double exposed() const;
  double total() const {
    return products + attention + elementwise + recomputed + exposed() + bubble + optimizer;
  }
};

struct Estimate {
  Layout layout;
  RankMemory memory;
  StepTime time;
};

/// Operations of a step by the usual estimate (cria::nn::Costs::flops_per_token), which MFU is computed of.
double flops_of_step(const Workload& workload);

/// Share of the processors' rate that such a step makes use of (Chowdhery et al. 2022, appendix B).
double utilisation(const Workload& workload, const Hardware& hardware, std::int64_t ranks, double seconds);

RankMemory memory_of_rank(const Workload& workload, const Hardware& hardware, const Layout& layout);

/// `sharers` ranks compute on one processor in turns. The model:
///   products    2 operations a weight and token forward, 4 backward, at product_share of the rate
///   attention   its causal half, at attention_share
///   elementwise bytes of (16 hidden + 4 (query + key/value) + 8 intermediate) elements a token and layer, as
///               counted in docs/gpu_by_counting.md, and 12 bytes a logit, at memory_share
///   exchanges   n ranks send (n - 1) / n of the bytes each for a sum at owners or for a gathering; a message
///               is late by latency * log2(n)
///   overlap     `overlap` of gradients hides behind a backward pass, of gathered parameters behind the layer
///               before
StepTime time_of_step(const Workload& workload, const Hardware& hardware, const Layout& layout,
                      std::int64_t sharers = 1);

/// What the search may not choose: 0 and "" leave it free.
struct Fixed {
  std::int64_t tensor = 0, shard_ranks = 0, micro_batch = 0;
  std::string shard, recompute;
  bool trainer = false;  // only what pretrain_llama trains with
};

/// Every layout on `ranks` ranks that divides the model and the batch, whether or not it fits memory.
std::vector<Layout> layouts(const Workload& workload, const Hardware& hardware, std::int64_t ranks,
                            const Fixed& fixed = {});

/// The one with the fastest step among those that fit memory, of equals the first. Throws cria::ConfigError
/// if no layout divides the model and the batch, or none fits; the sentence names the smallest.
Estimate best_layout(const Workload& workload, const Hardware& hardware, std::int64_t ranks,
                     const Fixed& fixed = {}, std::int64_t sharers = 1);

}  // namespace pretrain
