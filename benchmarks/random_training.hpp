#pragma once

#include <type_traits>

#include "cria/cria.hpp"

namespace cria::benchmarks {

/// Threads that a step is best computed on; a device has all its cores work on one chunk.
inline int threads_of_a_step() {
  return std::is_same_v<DefaultBackend, Cpu> ? available_threads() : 1;
}

/// Trains a Llama as the training program does, on random tokens. On a GPU forward and backward can be one
/// CUDA graph.
template <class T>
class RandomTraining {
 public:
  RandomTraining(const nn::LlamaConfig& config, std::int64_t batch, int threads, bool with_graph = false)
      : batch_({batch, config.max_position_embeddings}, {batch, config.max_position_embeddings}),
        model_(config),
        optimizer_(model_, {.learning_rate = 5e-4}),
        step_(model_, batch_, {.max_norm = 1.0, .threads = threads, .replay = with_graph}) {
    initialize(model_, Rng(1337));
    Rng rng(1);
    const auto token = [&] {
      return static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(config.vocab_size)));
    };
    for (std::size_t i = 0; i < batch_.inputs.size(); ++i) {
      const bool begins_a_sequence = i % static_cast<std::size_t>(config.max_position_embeddings) == 0;
      batch_.inputs[i] = begins_a_sequence ? token() : batch_.targets[i - 1];
      batch_.targets[i] = token();
    }
  }

  std::int64_t tokens() const { return std::ssize(batch_.inputs); }
  std::int64_t rows_of_a_chunk() const { return step_.chunk_size() * batch_.shape_of_inputs.dim(1); }

  /// A step. Returns the mean loss.
  double operator()() {
    step_.add(batch_, Rng(2));
    return step_.update(optimizer_).loss;
  }

 private:
  Batch<> batch_;
  nn::LlamaForCausalLM<T> model_;
  AdamW<> optimizer_;
  TrainStep<nn::LlamaForCausalLM<T>> step_;
};

}  // namespace cria::benchmarks
