#pragma once

#include <algorithm>
#include <span>
#include <type_traits>
#include <vector>

#include "cria/cria.hpp"

namespace cria::benchmarks {

/// Threads that a step is best computed on; a device has all its cores work on one chunk.
inline int threads_of_a_step() {
  return std::is_same_v<DefaultBackend, Cpu> ? cpu::available_threads() : 1;
}

/// A training step as the training program does it, on random tokens: forward, backward, clipping and AdamW.
template <class T>
class TrainStep {
 public:
  TrainStep(const nn::LlamaConfig& config, std::int64_t batch, int threads)
      : batch_(batch),
        length_(config.max_position_embeddings),
        chunk_(std::is_same_v<DefaultBackend, Cpu> ? nn::sequences_of_a_chunk(batch, length_, threads)
                                                   : batch),
        model_(config),
        optimizer_(model_, {.learning_rate = 5e-4}),
        scaler_({.enabled = std::is_same_v<T, float16>}),
        parallel_(model_, threads),
        tokens_(static_cast<std::size_t>(batch * (length_ + 1))) {
    initialize(model_, Rng(1337));
    Rng rng(1);
    for (auto& token : tokens_) {
      token = static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(config.vocab_size)));
    }
  }
  TrainStep(const TrainStep&) = delete;
  TrainStep& operator=(const TrainStep&) = delete;

  std::int64_t tokens() const { return batch_ * length_; }
  std::int64_t rows_of_a_chunk() const { return chunk_ * length_; }

  /// Returns the mean loss.
  double operator()() {
    const double loss = parallel_.run((batch_ + chunk_ - 1) / chunk_, [&](auto& model, std::int64_t chunk) {
      const std::int64_t sequences = std::min(chunk_, batch_ - chunk * chunk_);
      const double weight = static_cast<double>(sequences) / static_cast<double>(batch_);
      const auto mean_loss = model.loss(sequences_of(chunk, sequences, 0), sequences_of(chunk, sequences, 1));
      backward(mean_loss, static_cast<float>(scaler_.scale() * weight));
      return static_cast<double>(mean_loss.item()) * weight;
    });
    parallel_.reduce_gradients();
    optimizer_.step({.loss_scale = scaler_.scale(), .max_norm = 1.0});
    scaler_.update(optimizer_.gradient_norm());
    return loss;
  }

 private:
  /// The inputs (shift 0) or targets (shift 1) of a chunk.
  Tensor<std::int32_t> sequences_of(std::int64_t chunk, std::int64_t sequences, std::int64_t shift) const {
    std::vector<std::int32_t> values;
    for (std::int64_t i = 0; i < sequences; ++i) {
      const auto first = static_cast<std::size_t>((chunk * chunk_ + i) * (length_ + 1) + shift);
      const auto row = std::span(tokens_).subspan(first, static_cast<std::size_t>(length_));
      values.insert(values.end(), row.begin(), row.end());
    }
    return Tensor<std::int32_t>::from({sequences, length_}, values);
  }

  std::int64_t batch_, length_, chunk_;
  nn::LlamaForCausalLM<T> model_;
  AdamW<> optimizer_;
  GradScaler scaler_;
  nn::DataParallel<nn::LlamaForCausalLM<T>> parallel_;
  std::vector<std::int32_t> tokens_;  // [batch, length + 1]
};

}  // namespace cria::benchmarks
