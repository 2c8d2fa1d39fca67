#pragma once
/// The device that the process works on, and the stream that a thread works on.

#include <cuda_runtime.h>

#include <string>
#include <utility>

#include "cria/backend/cuda/error.hpp"

namespace cria::cuda {

/// What kernels are shaped by.
struct Device {
  int index;
  int multiprocessors;
  int shared_memory;  // bytes that a block may ask for
};

/// Throws BackendError if the driver is missing or too old for the runtime library (numbers as CUDA has them,
/// 0: no driver), or the library is not of the toolkit that the program was compiled with.
inline void check_versions(int driver, int runtime) {
  if (driver == 0) {
    throw BackendError(
        "cuda: this machine has no NVIDIA driver; install one, or use the CPU backend instead");
  }
  if (runtime / 1000 != CUDART_VERSION / 1000) {
    throw BackendError("cuda: the program was compiled with CUDA " + version_text(CUDART_VERSION) +
                       " but runs with the library of CUDA " + version_text(runtime) +
                       "; both must have the same major version");
  }
  if (driver / 1000 < runtime / 1000) {
    throw BackendError("cuda: the driver supports CUDA " + version_text(driver) +
                       " but the program needs CUDA " + version_text(runtime) +
                       "; update the driver, or compile with an older toolkit");
  }
}

/// Throws BackendError unless cudaGetDeviceCount found a device.
inline void check_device_count(cudaError_t status, int count) {
  if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0)) {
    throw BackendError(
        "cuda: the driver finds no device; check nvidia-smi and CUDA_VISIBLE_DEVICES, or use the CPU "
        "backend");
  }
  check("cudaGetDeviceCount", status);
}

/// How many devices the process can use, which is one at least. Throws BackendError, in a sentence each, if
/// there is no driver, a driver older than the program, or no device.
inline int device_count() {
  int driver = 0, runtime = 0, count = 0;
  check("cudaDriverGetVersion", cudaDriverGetVersion(&driver));
  check("cudaRuntimeGetVersion", cudaRuntimeGetVersion(&runtime));
  check_versions(driver, runtime);
  const cudaError_t status = cudaGetDeviceCount(&count);
  check_device_count(status, count);
  return count;
}

/// Lets the process work on the device with this number, counted from 0, and not on the first one: before
/// anything of it is on a device. Threads that the program starts for work on the device call it as well.
/// Throws BackendError as device_count does, and if there is no such device.
inline void use_device(int number) {
  const int count = device_count();
  if (number < 0 || number >= count) {
    throw BackendError("cuda: there is no device " + std::to_string(number) + "; there are " +
                       std::to_string(count) + ", counted from 0");
  }
  check("cudaSetDevice", cudaSetDevice(number));
}

/// The current device. Throws BackendError as device_count does, and if it is too old.
inline Device inspect_device() {
  device_count();
  Device device{};
  check("cudaGetDevice", cudaGetDevice(&device.index));
  cudaDeviceProp properties;
  check("cudaGetDeviceProperties", cudaGetDeviceProperties(&properties, device.index));
  if (properties.major * 10 + properties.minor < 75) {
    throw BackendError(std::string("cuda: the device ") + properties.name + " has compute capability " +
                       std::to_string(properties.major) + "." + std::to_string(properties.minor) +
                       "; at least 7.5 is needed (Turing, 2018)");
  }
  device.multiprocessors = properties.multiProcessorCount;
  device.shared_memory = static_cast<int>(properties.sharedMemPerBlockOptin);
  return device;
}

/// The process's device, inspected when it is first asked for.
CRIA_SHARED inline const Device& device() {
  static const Device instance = inspect_device();
  return instance;
}

/// The stream that all threads use unless they chose another.
CRIA_SHARED inline cudaStream_t process_stream() {
  static const cudaStream_t instance = [] {
    device();
    cudaStream_t stream;
    check("cudaStreamCreateWithFlags", cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return stream;
  }();
  return instance;
}

namespace detail {
CRIA_SHARED inline thread_local cudaStream_t thread_stream = nullptr;  // null: the process's
}

/// The stream that this thread submits work to.
inline cudaStream_t stream() {
  return detail::thread_stream ? detail::thread_stream : process_stream();
}

/// Whether this thread's stream is being captured in a graph.
inline bool is_captured() {
  cudaStreamCaptureStatus status{};
  check("cudaStreamIsCapturing", cudaStreamIsCapturing(stream(), &status));
  return status != cudaStreamCaptureStatusNone;
}

/// While one of these lives, this thread submits its work to `stream`. A tensor is allocated, used and freed
/// on one stream; whoever passes it to another one orders the two by events.
class StreamScope {
 public:
  [[nodiscard("without a name it ends at once")]] explicit StreamScope(cudaStream_t stream)
      : previous_(std::exchange(detail::thread_stream, stream)) {}
  ~StreamScope() { detail::thread_stream = previous_; }
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;

 private:
  cudaStream_t previous_;
};

}  // namespace cria::cuda
