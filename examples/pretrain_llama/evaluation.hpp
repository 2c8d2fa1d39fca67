#pragma once

#include <optional>

#include "corpus.hpp"
#include "stop_signal.hpp"
#include "training_step.hpp"

namespace pretrain {

/// Mean losses in nats per token.
struct Evaluation {
  double training, validation;
};

/// Mean losses of the first --eval_iters batches of each split in a fixed order, without gradients and
/// dropout. `batch` is overwritten. No value if it was to stop before the last of them.
std::optional<Evaluation> evaluate(TrainingStep& step, const Corpus& corpus, const TrainOptions& options,
                                   TokenBatch& batch, const StopSignal& stop);

}  // namespace pretrain
