// Training on a GPU: the only file of the program that nvcc compiles.

#include "llama_step.hpp"

namespace pretrain {

const CudaTraining* cuda_training() {
  static constexpr CudaTraining cuda{[] { cria::cuda::device(); },
                                     [](const TrainOptions& options) {
                                       cria::cuda::allow_tf32(options.tf32);
                                       return llama_step<cria::Cuda>(options);
                                     }};
  return &cuda;
}

}  // namespace pretrain
