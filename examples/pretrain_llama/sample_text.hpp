#pragma once

#include <string>

#include "tokenizer.hpp"
#include "training_step.hpp"

namespace pretrain {

/// A text by the model in training, as `generate` draws one: always with the same random numbers, so that the
/// texts of a run differ by what was learned in between. Ends where the model begins a new story, after 256
/// tokens or those of a training sequence, and where a score is no finite number.
std::string sample_text(TrainingStep& step, const Tokenizer& tokenizer, const TrainOptions& options);

}  // namespace pretrain
