#include "training_step.hpp"

#include "llama_step.hpp"

namespace pretrain {

std::unique_ptr<TrainingStep> training_step(const TrainOptions& options) {
  return options.device == "cpu" ? llama_step<cria::Cpu>(options) : cuda_training()->training_step(options);
}

}  // namespace pretrain
