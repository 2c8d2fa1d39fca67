#pragma once

#include "train_options.hpp"

namespace pretrain {

/// Trains on the GPU. Throws cria::BackendError if there is none. Only for programs with_cuda().
void train_on_cuda(const TrainOptions& options);

}  // namespace pretrain
