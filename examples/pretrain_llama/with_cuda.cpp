// Training on a GPU, and what there is on it: compiled by nvcc.

#include <string>

#include "cuda_part.hpp"
#include "llama_step.hpp"
#include "scorer_cuda.hpp"
#include "text_model_cuda.hpp"

namespace pretrain {

namespace {

void use_device(int number, int processes) {
  const int devices = cria::cuda::device_count();
  if (processes > devices) {
    throw cria::ConfigError("each process needs a GPU of its own, and of this machine's " +
                            std::to_string(processes) + " processes " + std::to_string(devices) +
                            " can have one; start as many processes as there are GPUs");
  }
  cria::cuda::use_device(number);
  cria::cuda::device();
}

}  // namespace

const CudaPart* cuda_part() {
  static constexpr CudaPart part{use_device, cria::Exchange<cria::Cuda>::is_possible,
                                 [](const TrainOptions& options) {
                                   cria::cuda::allow_tf32(options.tf32);
                                   return llama_step<cria::Cuda>(options);
                                 },
                                 text_model_on_cuda, scorer_on_cuda};
  return &part;
}

}  // namespace pretrain
