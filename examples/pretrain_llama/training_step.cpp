#include "training_step.hpp"

#include "cuda_part.hpp"
#include "llama_step.hpp"

namespace pretrain {

std::unique_ptr<TrainingStep> training_step(const TrainOptions& options) {
  return options.device == "cpu" ? llama_step<cria::Cpu>(options) : cuda_part()->training_step(options);
}

}  // namespace pretrain
