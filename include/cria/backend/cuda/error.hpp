#pragma once
/// Errors of the CUDA runtime as exceptions.

#include <cuda_runtime.h>

#include <string>

#include "cria/core/error.hpp"

namespace cria::cuda {

/// Where in the source something was asked for: `Place place = {}` as a last parameter is the caller's.
struct Place {
  const char* file;
  int line;

  constexpr Place(const char* at_file = __builtin_FILE(), int at_line = __builtin_LINE())
      : file(at_file), line(at_line) {}
};

inline std::string to_string(const Place& place) {
  const std::string file = place.file;
  return file.substr(file.find_last_of('/') + 1) + ":" + std::to_string(place.line);
}

/// "12.4" of the number 12040 that the runtime has for it.
inline std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

/// Throws BackendError unless `status`, which `call` returned, is success: the call, CUDA's own words, the
/// place, and where there is something to do about it, what.
inline void check(const char* call, cudaError_t status, Place place = {}) {
  if (status == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());  // or the next, innocent call reports it again
  std::string text = std::string("cuda: ") + call + " at " + to_string(place) +
                     " failed: " + cudaGetErrorString(status) + " (" + cudaGetErrorName(status) + ")";
  if (status == cudaErrorNoKernelImageForDevice) {
    text +=
        "; the program has no code for this device, compile it with the device's number in "
        "CMAKE_CUDA_ARCHITECTURES";
  } else if (status == cudaErrorIllegalAddress || status == cudaErrorMisalignedAddress ||
             status == cudaErrorIllegalInstruction || status == cudaErrorInvalidAddressSpace ||
             status == cudaErrorInvalidPc || status == cudaErrorHardwareStackError ||
             status == cudaErrorLaunchTimeout || status == cudaErrorLaunchFailure) {
    text +=
        "; a kernel that was launched before failed, run the program under compute-sanitizer to see which";
  }
  throw BackendError(text);
}

}  // namespace cria::cuda
