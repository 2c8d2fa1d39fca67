#pragma once
/// What of the program runs on GPUs.

#include <memory>

#include "scorer.hpp"
#include "text_model.hpp"
#include "training_step.hpp"

namespace pretrain {

struct CudaPart {
  /// Has this process, the one with this number of `processes` on this machine, work on a GPU of its own.
  /// Throws cria::BackendError if there is none, cria::ConfigError if there are fewer GPUs than processes.
  void (*use_device)(int number, int processes);
  bool trains_on_several;  // GPUs, of as many processes
  std::unique_ptr<TrainingStep> (*training_step)(const TrainOptions& options);
  std::unique_ptr<TextModel> (*text_model)(const ModelFolder& folder);
  std::unique_ptr<Scorer> (*scorer)(const ModelFolder& folder);
};

/// Null in a program that was compiled without CUDA. A program links with_cuda.cpp, text_model_cuda.cpp and
/// scorer_cuda.cpp, which nvcc compiles, or without_cuda.cpp.
const CudaPart* cuda_part();

}  // namespace pretrain
