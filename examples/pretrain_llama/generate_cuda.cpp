// Generating on a GPU: compiled by nvcc.

#include "generate_cuda.hpp"

#include "generate_on.hpp"

namespace pretrain {

void generate_on_cuda(const GenerateOptions& options, const ModelFolder& folder) {
  generate_on<cria::Cuda>(options, folder);
}

}  // namespace pretrain
