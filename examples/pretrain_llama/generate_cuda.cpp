// Generating on a GPU: compiled by nvcc if there is a CUDA backend.

#include "generate_cuda.hpp"

#include "cria/core/error.hpp"
#ifdef CRIA_CUDA
#include "generate_on.hpp"
#endif

namespace pretrain {

#ifdef CRIA_CUDA

void generate_on_cuda(const GenerateOptions& options, const ModelFolder& folder) {
  generate_on<cria::Cuda>(options, folder);
}

#else

void generate_on_cuda(const GenerateOptions&, const ModelFolder&) {
  throw cria::BackendError("cuda: this program was not compiled for it");
}

#endif

}  // namespace pretrain
