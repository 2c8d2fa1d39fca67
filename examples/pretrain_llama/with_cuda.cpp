// Training on a GPU, and what there is on it: compiled by nvcc.

#include "cuda_part.hpp"
#include "llama_step.hpp"
#include "scorer_cuda.hpp"
#include "text_model_cuda.hpp"

namespace pretrain {

const CudaPart* cuda_part() {
  static constexpr CudaPart part{[] { cria::cuda::device(); },
                                 [](const TrainOptions& options) {
                                   cria::cuda::allow_tf32(options.tf32);
                                   return llama_step<cria::Cuda>(options);
                                 },
                                 text_model_on_cuda, scorer_on_cuda};
  return &part;
}

}  // namespace pretrain
