#pragma once
/// A training run on many processors, before there are any: memory, time, cost, and how often to save.

#include <cstdint>
#include <iostream>
#include <string>

#include "cria/nn/llama.hpp"

namespace pretrain {

/// Numbers that are 0 and texts that are empty are found, or taken from the table of hardware.
struct PlanOptions {
  std::string model = "8b";
  std::int64_t gpus = 8;
  std::string gpu = "h100";
  std::int64_t max_seq_len = 0, batch_size = 0;
  double tokens = 0;
  std::string reduce_dtype = "float32";
  std::int64_t tensor_parallel = 0, shard_ranks = 0, micro_batch = 0;
  std::string shard = {}, recompute = {};
  bool trainer_only = false;
  std::int64_t ranks_per_gpu = 1;
  double flops = 0, memory = 0, bandwidth = 0, link_bandwidth = 0, network_bandwidth = 0;
  std::int64_t node_gpus = 0;
  double price_per_hour = 0, mtbf_hours = 0;
  double overlap = -1;  // -1: the table's
  double restart_minutes = 10, save_seconds = 0, storage_bandwidth = 1e9;
  double jitter = 0.005, slow_hours = 20000;
  bool published = false;
};

/// Calls field(name, value, meaning) for each of them.
void for_each_option(PlanOptions& options, auto&& field) {
  PlanOptions& o = options;
  field("model", o.model, "folder with a config.json, or 8b, 70b, 405b: Llama 3's");
  field("gpus", o.gpus, "ranks: GPUs, or cores of CPUs");
  field("gpu", o.gpu, "h100, a100, l40s, or cpu: a core of a Zen 4 server, in float32");
  field("max_seq_len", o.max_seq_len, "tokens of a sequence; 0: the model's, at most 8192");
  field("batch_size", o.batch_size,
        "sequences of a step; 0: 4 million tokens, and at least a sequence a node");
  field("tokens", o.tokens, "of the whole run; 0: 20 a parameter");
  field("reduce_dtype", o.reduce_dtype, "float32 or bfloat16: of gradients on their way");
  field("tensor_parallel", o.tensor_parallel, "ranks that share a layer; 0: the fastest");
  field("shard", o.shard, "none, optimizer, gradients, parameters; empty: the fastest");
  field("shard_ranks", o.shard_ranks, "ranks that keep one copy together; 0: the fastest");
  field("recompute", o.recompute, "none, cheap, attention, mlp, layer; empty: the fastest");
  field("micro_batch", o.micro_batch, "sequences at once; 0: the fastest");
  field("trainer_only", o.trainer_only, "layouts that `pretrain_llama train` has, alone");
  field("ranks_per_gpu", o.ranks_per_gpu, "processes that take turns on one GPU or core");
  field("flops", o.flops, "operations a second of a GPU, as 989e12; 0, here and below: the table's");
  field("memory", o.memory, "bytes of a GPU");
  field("bandwidth", o.bandwidth, "of that memory, bytes a second");
  field("link_bandwidth", o.link_bandwidth, "of a GPU in its node, bytes a second in one direction");
  field("network_bandwidth", o.network_bandwidth, "of a GPU to other nodes, the same");
  field("node_gpus", o.node_gpus, "GPUs of a node");
  field("price_per_hour", o.price_per_hour, "of a GPU, in dollars");
  field("mtbf_hours", o.mtbf_hours, "mean time between failures of a node");
  field("overlap", o.overlap, "share of an exchange that hides behind computing, 0 to 1; -1: the table's");
  field("restart_minutes", o.restart_minutes, "from a failure to the next step");
  field("save_seconds", o.save_seconds, "that a checkpoint stops the run; 0: by --storage_bandwidth");
  field("storage_bandwidth", o.storage_bandwidth, "of a node, bytes a second");
  field("jitter", o.jitter, "standard deviation of a rank's step over the step; all wait for the slowest");
  field("slow_hours", o.slow_hours, "mean time until a node turns 10 % slower for an hour; 0: never");
  field("published", o.published, "print predictions for published runs beside what was measured, and end");
}

/// 8b, 70b, 405b: the sizes of Llama 3 (arXiv 2407.21783, table 3); else the config.json in that folder.
/// Throws cria::ConfigError, cria::FileError.
cria::nn::LlamaConfig named_model(const std::string& name);

/// Prints the plan. Throws cria::ConfigError, cria::FileError.
void plan(const PlanOptions& options, std::ostream& out = std::cout);

}  // namespace pretrain
