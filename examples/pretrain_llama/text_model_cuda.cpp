// Writing on a GPU: compiled by nvcc.

#include "text_model_cuda.hpp"

#include "text_model_on.hpp"

namespace pretrain {

std::unique_ptr<TextModel> text_model_on_cuda(const ModelFolder& folder) {
  return text_model_on<cria::Cuda>(folder);
}

}  // namespace pretrain
