#pragma once
/// The tokens that a model is trained on, on their way from the corpus to a backend.

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "cria/cria.hpp"
#include "cria/io/tokens.hpp"
#include "train_options.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/upload.hpp"
#endif

namespace pretrain {

/// A micro-batch, cut into chunks of whole sequences.
struct Batch {
  static std::int64_t chunk_size_of(const TrainOptions& options) {
    if (options.device != "cpu") return options.batch_size;  // a device has all its cores work on one chunk
    return cria::nn::sequences_of_a_chunk(options.batch_size, options.max_seq_len, options.threads);
  }

  static std::int64_t chunks_of(std::int64_t size, std::int64_t chunk_size) {
    return (size + chunk_size - 1) / chunk_size;
  }

  explicit Batch(const TrainOptions& options)
      : size(options.batch_size),
        length(options.max_seq_len),
        chunk_size(chunk_size_of(options)),
        inputs(static_cast<std::size_t>(size * length)),
        targets(inputs.size()) {}

  void fetch(cria::io::TokenStream& stream) { stream.next(size, inputs, targets); }

  std::int64_t chunks() const { return chunks_of(size, chunk_size); }
  std::int64_t sequences(std::int64_t chunk) const { return std::min(chunk_size, size - chunk * chunk_size); }
  /// The chunk's share of the batch's mean loss.
  double weight(std::int64_t chunk) const {
    return static_cast<double>(sequences(chunk)) / static_cast<double>(size);
  }

  std::int64_t size, length, chunk_size;
  std::vector<std::int32_t> inputs, targets;  // [size, length]
};

/// A chunk's inputs and targets on a backend, [sequences, length] each.
template <class B>
struct ChunkTokens {
  cria::Tensor<std::int32_t, B> inputs, targets;
};

/// Brings chunks to a backend.
template <class B>
struct TokenTransfer {
  explicit TokenTransfer(const Batch&) {}

  /// Threads may call it at once.
  ChunkTokens<B> operator()(const Batch& batch, std::int64_t chunk) const {
    const auto part = [&](const std::vector<std::int32_t>& tokens) {
      const auto first = static_cast<std::size_t>(chunk * batch.chunk_size * batch.length);
      const auto count = static_cast<std::size_t>(batch.sequences(chunk) * batch.length);
      return cria::Tensor<std::int32_t, B>::from({batch.sequences(chunk), batch.length},
                                                 std::span(tokens).subspan(first, count));
    };
    return {part(batch.inputs), part(batch.targets)};
  }
};

#ifdef CRIA_CUDA
/// A GPU gets the next batch while it still works on the one before.
template <>
struct TokenTransfer<cria::Cuda> {
  explicit TokenTransfer(const Batch& batch)
      : inputs({batch.size, batch.length}), targets({batch.size, batch.length}) {}

  ChunkTokens<cria::Cuda> operator()(const Batch& batch, std::int64_t) {
    return {inputs(batch.inputs), targets(batch.targets)};
  }

  cria::cuda::Upload<std::int32_t> inputs, targets;
};
#endif

}  // namespace pretrain
