// Scoring on a GPU: compiled by nvcc.

#include "scorer_cuda.hpp"

#include "scorer_on.hpp"

namespace pretrain {

std::unique_ptr<Scorer> scorer_on_cuda(const ModelFolder& folder) {
  cria::cuda::allow_tf32(false);  // losses are compared with those of other machines
  return scorer_on<cria::Cuda>(folder);
}

}  // namespace pretrain
