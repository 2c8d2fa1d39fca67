#pragma once
/// What the kernels of the self-tests are run with.

#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace self_test {

/// Ends the process with the error's name where one occurred.
inline void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  std::printf("%s: %s\n", cudaGetErrorName(error), cudaGetErrorString(error));
  std::exit(1);
}

template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t size) : size_(size) { check(cudaMalloc(&data_, size * sizeof(T))); }
  DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    check(cudaMemcpy(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  std::vector<T> values() const {
    std::vector<T> result(size_);
    check(cudaMemcpy(result.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost));
    return result;
  }

 private:
  T* data_ = nullptr;
  std::size_t size_;
};

inline cudaLaunchConfig_t configuration(unsigned blocks, unsigned threads, std::size_t shared_memory = 0,
                                        cudaStream_t stream = nullptr) {
  cudaLaunchConfig_t config{};
  config.gridDim = blocks;
  config.blockDim = threads;
  config.dynamicSmemBytes = shared_memory;
  config.stream = stream;
  return config;
}

}  // namespace self_test
