// Allocations, copies and fills.

#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

#include "counters.hpp"
#include "memory.hpp"
#include "observer.hpp"
#include "report.hpp"
#include "runtime.hpp"
#include "streams.hpp"

using namespace cuda_emulation;

namespace {

std::map<const char*, std::size_t> pinned;

bool is_pinned(const void* pointer, std::size_t size) {
  const auto* const bytes = static_cast<const char*>(pointer);
  auto next = pinned.upper_bound(bytes);
  if (next == pinned.begin()) return false;
  --next;
  return bytes + size <= next->first + next->second;
}

cudaError_t allocate(void** pointer, std::size_t size) {
  *pointer = nullptr;
  if (size == 0) return cudaSuccess;
  *pointer = DeviceMemory::instance().allocate(size);
  return *pointer ? cudaSuccess : cudaErrorMemoryAllocation;
}

// One side of a copy: is it where the copy's kind says, and inside of its allocation?
bool check_side(const char* side, const void* pointer, std::size_t size, bool on_device) {
  const auto& memory = DeviceMemory::instance();
  if (memory.contains(pointer) != on_device) {
    report("%s %p is %s memory, which the kind of the copy denies", side, pointer,
           on_device ? "host" : "device");
    return false;
  }
  if (on_device && !memory.valid(pointer, size)) {
    report("%s: %zu bytes at %p are not inside of one allocation", side, size, pointer);
    return false;
  }
  return true;
}

struct Copy {
  void* to;
  const void* from;
  std::size_t size;
  bool to_device, from_device;

  bool valid() const {
    return check_side("destination of a copy", to, size, to_device) &&
           check_side("source of a copy", from, size, from_device);
  }

  void run() const {
    if (!valid()) return fail_for_good();  // freed before the copy ran
    {
      const DeviceMemory::Access access;
      std::memmove(to, from, size);
    }
    if (observer) {
      if (to_device && from_device)
        observer->library_copies(to, from, size);
      else if (to_device)
        observer->library_writes(to, size);
      else if (from_device)
        observer->library_reads(from, size, "a copy to the host");
    }
    KernelCounters& counters = counters_of(
        to_device ? from_device ? "memcpy on the device" : "memcpy to the device" : "memcpy to the host");
    ++counters.launches;
    if (to_device) counters.bytes_written += size;
    if (from_device) counters.bytes_read += size;
  }
};

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** pointer, std::size_t size) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  if (const cudaError_t error = forbidden_while_capturing()) return remember(error);
  return remember(allocate(pointer, size));
}

cudaError_t cudaFree(void* pointer) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  if (const cudaError_t error = forbidden_while_capturing()) return remember(error);
  finish_all_streams();
  if (!pointer || DeviceMemory::instance().free(pointer)) return cudaSuccess;
  report("cudaFree: %p is not an allocation", pointer);
  return remember(cudaErrorInvalidValue);
}

cudaError_t cudaMallocAsync(void** pointer, std::size_t size, cudaStream_t stream) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  if (!is_stream(stream)) return remember(cudaErrorInvalidResourceHandle);
  // A device would make it a node of the graph, with an address of its own; nothing of cria relies on that.
  if (is_capturing(stream)) return remember(cudaErrorStreamCaptureUnsupported);
  return remember(allocate(pointer, size));
}

cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  if (!is_stream(stream)) return remember(cudaErrorInvalidResourceHandle);
  if (is_capturing(stream)) return remember(cudaErrorStreamCaptureUnsupported);
  if (!DeviceMemory::instance().valid(pointer, 1)) {
    report("cudaFreeAsync: %p is not an allocation", pointer);
    return remember(cudaErrorInvalidValue);
  }
  return remember(submit(stream, [pointer] {
    if (DeviceMemory::instance().free(pointer)) return;
    report("cudaFreeAsync: %p is not an allocation", pointer);
    fail_for_good();
  }));
}

cudaError_t cudaHostAlloc(void** pointer, std::size_t size, unsigned) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  if (const cudaError_t error = forbidden_while_capturing()) return remember(error);
  *pointer = std::aligned_alloc(4096, (size + 4095) / 4096 * 4096);
  if (!*pointer) return remember(cudaErrorMemoryAllocation);
  pinned[static_cast<const char*>(*pointer)] = size;
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** pointer, std::size_t size) {
  return cudaHostAlloc(pointer, size, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void* pointer) {
  const RuntimeLock lock;
  if (const cudaError_t error = forbidden_while_capturing()) return remember(error);
  if (!pointer) return cudaSuccess;
  finish_all_streams();
  if (pinned.erase(static_cast<const char*>(pointer)) == 0) {
    report("cudaFreeHost: %p is not pinned memory", pointer);
    return remember(cudaErrorInvalidValue);
  }
  std::free(pointer);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  cudaDeviceProp properties;
  cudaGetDeviceProperties(&properties, 0);
  *total = properties.totalGlobalMem;
  *free = *total - DeviceMemory::instance().used();
  return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  const bool on_device = DeviceMemory::instance().valid(pointer, 1);
  const bool on_host = is_pinned(pointer, 1);
  *attributes = {};
  attributes->type = on_device ? cudaMemoryTypeDevice
                     : on_host ? cudaMemoryTypeHost
                               : cudaMemoryTypeUnregistered;
  attributes->devicePointer = on_device || on_host ? const_cast<void*>(pointer) : nullptr;
  attributes->hostPointer = on_host || !on_device ? const_cast<void*>(pointer) : nullptr;
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t size, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  if (!is_stream(stream)) return remember(cudaErrorInvalidResourceHandle);
  if (size == 0) return cudaSuccess;
  const auto& memory = DeviceMemory::instance();
  Copy copy{to, from, size, kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice,
            kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice};
  if (kind == cudaMemcpyDefault) {
    copy.to_device = memory.contains(to);
    copy.from_device = memory.contains(from);
  }
  if (!copy.valid()) return remember(cudaErrorInvalidValue);
  const bool pageable =
      (!copy.from_device && !is_pinned(from, size)) || (!copy.to_device && !is_pinned(to, size));
  if (pageable) count_pageable_copy();
  if (is_capturing(stream)) {
    if (pageable) {
      report("a copy from or to pageable host memory while the stream is captured");
      return remember(cudaErrorStreamCaptureUnsupported);
    }
  } else if (pageable && !copy.from_device) {
    // Pageable memory is read before the call returns; pinned memory when the copy runs.
    auto snapshot = std::make_shared<std::vector<char>>(size);
    std::memcpy(snapshot->data(), from, size);
    return remember(submit(stream, [copy, snapshot]() mutable {
      copy.from = snapshot->data();
      copy.run();
    }));
  }
  return remember(submit(stream, [copy] { copy.run(); }));
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t size, cudaMemcpyKind kind) {
  const RuntimeLock lock;
  if (const cudaError_t error = forbidden_while_capturing()) return remember(error);
  if (const cudaError_t error = cudaMemcpyAsync(to, from, size, kind, nullptr)) return error;
  return cudaStreamSynchronize(nullptr);
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t size, cudaStream_t stream) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  if (size == 0) return cudaSuccess;
  if (!check_side("destination of cudaMemset", to, size, true)) return remember(cudaErrorInvalidValue);
  return remember(submit(stream, [=] {
    if (!check_side("destination of cudaMemset", to, size, true)) return fail_for_good();
    {
      const DeviceMemory::Access access;
      std::memset(to, value, size);
    }
    if (observer) observer->library_writes(to, size);
    KernelCounters& counters = counters_of("memset");
    ++counters.launches;
    counters.bytes_written += size;
  }));
}

cudaError_t cudaMemset(void* to, int value, std::size_t size) {
  return cudaMemsetAsync(to, value, size, nullptr);
}

}  // extern "C"
