#include "training_step.hpp"

namespace pretrain {

const CudaTraining* cuda_training() {
  return nullptr;
}

}  // namespace pretrain
