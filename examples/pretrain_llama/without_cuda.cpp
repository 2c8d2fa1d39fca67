#include "generate_cuda.hpp"
#include "training_step.hpp"

namespace pretrain {

const CudaTraining* cuda_training() {
  return nullptr;
}

CudaGeneration cuda_generation() {
  return nullptr;
}

}  // namespace pretrain
