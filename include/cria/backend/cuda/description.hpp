#pragma once

#include <cuda_runtime.h>

#include <string>

#include "cria/backend/cuda/device.hpp"

namespace cria::cuda {

/// Which library multiplies matrices on which device: "cuBLAS of CUDA 13.0 on NVIDIA H100 (compute capability
/// 9.0)".
inline std::string description() {
  cudaDeviceProp properties;
  check("cudaGetDeviceProperties", cudaGetDeviceProperties(&properties, device().index));
  return "cuBLAS of CUDA " + version_text(CUDART_VERSION) + " on " + properties.name +
         " (compute capability " + std::to_string(properties.major) + "." + std::to_string(properties.minor) +
         ")";
}

}  // namespace cria::cuda
