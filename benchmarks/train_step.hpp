#pragma once

#include <type_traits>

#include "cria/cria.hpp"
#include "pretrain_llama/micro_step.hpp"

namespace cria::benchmarks {

/// Threads that a step is best computed on; a device has all its cores work on one chunk.
inline int threads_of_a_step() {
  return std::is_same_v<DefaultBackend, Cpu> ? cpu::available_threads() : 1;
}

/// A training step as the training program does it, on random tokens: forward, backward, clipping and AdamW.
/// On a GPU forward and backward can be one CUDA graph.
template <class T>
class TrainStep {
 public:
  TrainStep(const nn::LlamaConfig& config, std::int64_t batch, int threads, bool with_graph = false)
      : TrainStep(config, {.batch_size = batch,
                           .max_seq_len = config.max_position_embeddings,
                           .device = std::is_same_v<DefaultBackend, Cpu> ? "cpu" : "cuda",
                           .cuda_graph = with_graph ? "on" : "off",
                           .threads = threads}) {}
  TrainStep(const TrainStep&) = delete;
  TrainStep& operator=(const TrainStep&) = delete;

  std::int64_t tokens() const { return batch_.size * batch_.length; }
  std::int64_t rows_of_a_chunk() const { return batch_.chunk_size * batch_.length; }

  /// Returns the mean loss.
  double operator()() {
    const double loss = parallel_.run(batch_.chunks(), [&](auto& model, std::int64_t chunk) {
      const auto scale = static_cast<float>(scaler_.scale() * batch_.weight(chunk));
      const auto mean_loss = micro_step_(model, transfer_(batch_, chunk), Rng(2), scale);
      return static_cast<double>(mean_loss.item()) * batch_.weight(chunk);
    });
    parallel_.reduce_gradients();
    micro_step_.update([&] { optimizer_.step({.loss_scale = scaler_.scale(), .max_norm = 1.0}); });
    scaler_.update(optimizer_.gradient_norm());
    return loss;
  }

 private:
  TrainStep(const nn::LlamaConfig& config, const pretrain::TrainOptions& options)
      : batch_(options),
        transfer_(batch_),
        model_(config),
        optimizer_(model_, {.learning_rate = 5e-4}),
        scaler_({.enabled = std::is_same_v<T, float16>}),
        parallel_(model_, static_cast<int>(options.threads)),
        micro_step_(model_, batch_, options) {
    initialize(model_, Rng(1337));
    Rng rng(1);
    const auto token = [&] {
      return static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(config.vocab_size)));
    };
    for (std::size_t i = 0; i < batch_.inputs.size(); ++i) {
      const bool begins_a_sequence = i % static_cast<std::size_t>(batch_.length) == 0;
      batch_.inputs[i] = begins_a_sequence ? token() : batch_.targets[i - 1];
      batch_.targets[i] = token();
    }
  }

  pretrain::Batch batch_;
  pretrain::TokenTransfer<DefaultBackend> transfer_;
  nn::LlamaForCausalLM<T> model_;
  AdamW<> optimizer_;
  GradScaler scaler_;
  nn::DataParallel<nn::LlamaForCausalLM<T>> parallel_;
  pretrain::MicroStep<T, DefaultBackend> micro_step_;
};

}  // namespace cria::benchmarks
