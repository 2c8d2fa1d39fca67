#pragma once

#include "text_model.hpp"

namespace pretrain {

/// The model in `folder` on the GPU. Throws cria::BackendError if there is none.
std::unique_ptr<TextModel> text_model_on_cuda(const ModelFolder& folder);

}  // namespace pretrain
