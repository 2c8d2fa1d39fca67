#pragma once

#include "generate.hpp"

namespace pretrain {

struct ModelFolder;

/// Generates on the GPU. Throws cria::BackendError if there is none.
using CudaGeneration = void (*)(const GenerateOptions& options, const ModelFolder& folder);

/// Null in a program that was compiled without CUDA, as cuda_training() is (training_step.hpp).
CudaGeneration cuda_generation();

}  // namespace pretrain
