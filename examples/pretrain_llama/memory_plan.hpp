#pragma once
/// How much memory a training run will take, known before it begins.

#include <cstdint>
#include <string>

#include "cria/nn/costs.hpp"
#include "speed_of_light.hpp"
#include "train_options.hpp"

namespace pretrain {

/// Bytes, by what they hold.
struct MemoryPlan {
  std::int64_t weights = 0;
  std::int64_t master_weights = 0;  // float copies of 16-bit weights
  std::int64_t moments = 0;
  std::int64_t gradients = 0;     // float, of every replica
  std::int64_t partial_sums = 0;  // of gradients, that a reproducible step keeps
  std::int64_t activations = 0;   // what a chunk's forward pass keeps for its backward pass, of every replica
  std::int64_t copy = 0;          // of weights and moments, that a checkpoint is written of meanwhile
  std::int64_t workspace = 0;     // gradients of activations, logits, and what kernels work in
  std::int64_t program = 0;       // code, libraries, and the tokens of a micro-batch

  std::int64_t tensors() const {
    return weights + master_weights + moments + gradients + partial_sums + activations + copy + workspace;
  }
  std::int64_t total() const { return tensors() + program; }

  /// A line for each of them, aligned, in MB (10^6 bytes).
  std::string table() const;
};

/// How a run computes, as far as its memory depends on it.
struct MemoryUse {
  std::int64_t element_size;  // bytes
  std::int64_t states = 2;    // float numbers that an optimiser keeps for a weight
  std::int64_t averages = 0;  // of a weight, in float
  std::int64_t length;        // positions of a sequence
  std::int64_t sequences;     // of a chunk
  std::int64_t batch;         // sequences of a micro-batch; only their tokens take memory
  std::int64_t replicas;      // that work on chunks of their own
  std::int64_t sums = 0;      // of gradients that it keeps beside its gradient
  bool copies = false;        // what it saves
  std::int64_t owners = 1;    // processes among which master weights and states are divided
};

/// How the threads of a run are divided on replicas of the model: each has one of its own unless the
/// gradients of so many replicas would take more than a quarter of the machine's memory.
ThreadGroups replicas_of(const TrainOptions& options);
/// The most groups, of equally many threads, whose gradients of `parameters` values take no more than a
/// quarter of `memory` bytes; one if even that is too much. memory = 0: nobody knows.
ThreadGroups replicas_that_fit(std::int64_t threads, double parameters, std::int64_t memory);

/// What a run will take.
MemoryPlan memory_of(const TrainOptions& options);

MemoryPlan planned_memory(const cria::nn::Costs& costs, const MemoryUse& use);

/// Bytes that the machine can still give to this process; 0 if unknown.
std::int64_t available_memory();

/// Bytes of the machine's memory that this process uses now; 0 if unknown.
std::int64_t memory_in_use();

/// Throws cria::ConfigError if the machine has not as much memory as the plan needs.
void check_memory(const MemoryPlan& plan);

}  // namespace pretrain
