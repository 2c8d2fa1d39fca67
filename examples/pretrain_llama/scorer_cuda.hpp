#pragma once

#include "scorer.hpp"

namespace pretrain {

/// The model in `folder` on the GPU. Throws cria::BackendError if there is none.
std::unique_ptr<Scorer> scorer_on_cuda(const ModelFolder& folder);

}  // namespace pretrain
