// Training on a GPU: the only file of the program that nvcc compiles, if there is a CUDA backend.

#include "train_cuda.hpp"

#ifdef CRIA_CUDA
#include "training_run.hpp"
#endif

namespace pretrain {

#ifdef CRIA_CUDA

bool with_cuda() {
  return true;
}

void train_on_cuda(const TrainOptions& options) {
  cria::cuda::device();  // if it is missing, the program says so before it has read the data
  train_on<cria::Cuda>(options);
}

#else

bool with_cuda() {
  return false;
}

void train_on_cuda(const TrainOptions&) {
  throw cria::BackendError("cuda: this program was not compiled for it");
}

#endif

}  // namespace pretrain
