#include "text_model.hpp"

#include "cuda_part.hpp"
#include "text_model_on.hpp"

namespace pretrain {

std::unique_ptr<TextModel> text_model(const ModelFolder& folder, const std::string& device) {
  if (device == "cpu") return text_model_on<cria::Cpu>(folder);
  cuda_part()->use_device(0, 1);
  return cuda_part()->text_model(folder);
}

}  // namespace pretrain
