// Generating on a GPU: nvcc compiles this file.

#include "generate_cuda.hpp"

#include "generate_on.hpp"

namespace pretrain {

CudaGeneration cuda_generation() {
  return generate_on<cria::Cuda>;
}

}  // namespace pretrain
