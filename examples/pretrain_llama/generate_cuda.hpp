#pragma once

#include "generate.hpp"

namespace pretrain {

struct ModelFolder;

/// Generates on the GPU. Throws cria::BackendError if there is none.
void generate_on_cuda(const GenerateOptions& options, const ModelFolder& folder);

}  // namespace pretrain
