#pragma once
/// A model in training, whatever its dtype and its device. What knows them (llama_step.hpp) is compiled once
/// for each; all else of the program sees this.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cria/core/named_tensor.hpp"
#include "cria/optim/grad_scaler.hpp"
#include "cria/train/step.hpp"
#include "speed_of_light.hpp"
#include "train_options.hpp"

namespace pretrain {

using TokenBatch = cria::Batch<>;

/// What a checkpoint holds of a model and its optimiser. The tensors are handles: writing to them loads.
struct ModelState {
  std::vector<cria::NamedTensor> weights;
  std::vector<cria::NamedTensor> optimizer;  // of this process's part, where processes share it
  std::vector<cria::NamedTensor> average;    // of the weights, and those that are trained, where there is one
  std::int64_t optimizer_steps;
  cria::GradScaler::State scaler;
};

/// How many tensors of so many values.
struct TensorCount {
  std::int64_t tensors, values;
};

struct ModelDescription {
  TensorCount decayed, not_decayed;
  std::string products_by;  // which library multiplies matrices
};

/// Chooses the next token of a text by the scores of all, or ends the text.
using ChooseToken = std::function<std::optional<std::int32_t>(const std::vector<float>& scores)>;

class TrainingStep {
 public:
  virtual ~TrainingStep() = default;

  /// Adds the gradients of a micro-batch, whose dropout draws from `noise`. Times go to `profile`, if there
  /// is one.
  virtual void add(const TokenBatch& batch, const cria::Rng& noise, cria::StepProfile* profile) = 0;
  /// Updates the model after the iteration's last micro-batch.
  virtual cria::TrainStepResult update(double learning_rate, cria::StepProfile* profile) = 0;
  /// The mean loss, without gradients and dropout.
  virtual double loss(const TokenBatch& batch) = 0;
  /// A text of at most `most` tokens, the first of which is `first`.
  virtual std::vector<std::int32_t> write(std::int32_t first, std::int64_t most,
                                          const ChooseToken& choose) = 0;

  virtual ModelState state() = 0;
  /// Goes on from these numbers, after `state`'s tensors were loaded.
  virtual void restore(std::int64_t optimizer_steps, cria::GradScaler::State scaler) = 0;
  /// Whether all weights are numbers, as those of a run that has diverged are not.
  virtual bool has_finite_weights() = 0;

  virtual ModelDescription describe() const = 0;
  /// Takes some tenths of a second.
  virtual SpeedOfLight speed_of_light() const = 0;
};

/// A new model, initialised unless a checkpoint is to be loaded, on the device that the options name.
std::unique_ptr<TrainingStep> training_step(const TrainOptions& options);

}  // namespace pretrain
