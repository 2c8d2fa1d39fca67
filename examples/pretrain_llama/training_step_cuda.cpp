// Training on a GPU: nvcc compiles this file.

#include "llama_step.hpp"

namespace pretrain {

const CudaTraining* cuda_training() {
  static constexpr CudaTraining cuda{[] { cria::cuda::device(); }, llama_step<cria::Cuda>};
  return &cuda;
}

}  // namespace pretrain
