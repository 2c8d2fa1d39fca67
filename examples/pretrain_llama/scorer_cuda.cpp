// Scoring on a GPU: compiled by nvcc.

#include "scorer_cuda.hpp"

#include "scorer_on.hpp"

namespace pretrain {

std::unique_ptr<Scorer> scorer_on_cuda(const ModelFolder& folder) {
  return scorer_on<cria::Cuda>(folder);
}

}  // namespace pretrain
