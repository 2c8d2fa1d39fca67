#pragma once
/// cudaLaunchKernelEx and the other function templates of the runtime.

#include <cstddef>
#include <memory>
#include <type_traits>

#include "cuda_runtime_api.h"

namespace cuda_emulation {

/// A kernel with its arguments, as it lies in a stream or a graph.
struct Kernel {
  const void* function;
  void (*run_thread)(const void* arguments);  // runs one thread of the kernel
  std::shared_ptr<const void> arguments;
  std::size_t arguments_size;
};

/// Checks the configuration and submits the kernel, with a copy of its arguments, to the configuration's
/// stream.
cudaError_t launch(const cudaLaunchConfig_t& config, const void* function,
                   void (*run_thread)(const void* arguments), const void* arguments, std::size_t size);

}  // namespace cuda_emulation

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  static_assert((sizeof(Parameters) + ... + 0) <= 32764, "the arguments of a kernel are at most 32764 bytes");
  const auto call = [kernel, ... parameters = static_cast<Parameters>(arguments)] { kernel(parameters...); };
  using Call = decltype(call);
  static_assert(std::is_trivially_copyable_v<Call>, "the arguments of a kernel are copied as bytes");
  return cuda_emulation::launch(
      *config, reinterpret_cast<const void*>(kernel),
      [](const void* self) { (*static_cast<const Call*>(self))(); }, &call, sizeof(call));
}

template <class T>
cudaError_t cudaFuncSetAttribute(T* function, cudaFuncAttribute attribute, int value) {
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(function), attribute, value);
}
template <class T>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, T* function) {
  return cudaFuncGetAttributes(attributes, reinterpret_cast<const void*>(function));
}
template <class T>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, T* function, int block_size,
                                                          std::size_t dynamic_shared_memory) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, reinterpret_cast<const void*>(function),
                                                       block_size, dynamic_shared_memory);
}

template <class T>
cudaError_t cudaMalloc(T** pointer, std::size_t size) {
  return cudaMalloc(reinterpret_cast<void**>(pointer), size);
}
template <class T>
cudaError_t cudaMallocAsync(T** pointer, std::size_t size, cudaStream_t stream) {
  return cudaMallocAsync(reinterpret_cast<void**>(pointer), size, stream);
}
template <class T>
cudaError_t cudaMallocHost(T** pointer, std::size_t size, unsigned int flags = cudaHostAllocDefault) {
  return cudaHostAlloc(reinterpret_cast<void**>(pointer), size, flags);
}
template <class T>
cudaError_t cudaHostAlloc(T** pointer, std::size_t size, unsigned int flags) {
  return cudaHostAlloc(reinterpret_cast<void**>(pointer), size, flags);
}
