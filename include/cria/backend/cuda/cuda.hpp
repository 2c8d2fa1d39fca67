#pragma once
/// The CUDA backend: device memory and kernels on one stream per thread.

#include <cuda_runtime.h>

#include <cstddef>

#include "cria/backend/cuda/allocator.hpp"
#include "cria/backend/cuda/index_error.hpp"
#include "cria/backend/cuda/launch.hpp"
#include "cria/core/config.hpp"
#include "cria/core/dtype.hpp"
#include "cria/core/scratch_memory.hpp"

namespace cria {

namespace cuda {

template <class T>
__global__ void fill_kernel(T* data, std::int64_t size, T value) {
  for (std::int64_t i = first_item(); i < size; i += item_stride()) data[i] = value;
}

template <class T, class S>
__global__ void fill_sequence_kernel(T* data, std::int64_t size, S start, S step) {
  for (std::int64_t i = first_item(); i < size; i += item_stride()) {
    data[i] = static_cast<T>(static_cast<acc_t<T>>(start + static_cast<S>(i) * step));
  }
}

}  // namespace cuda

/// Device memory and kernels on an NVIDIA GPU. Work is submitted to the thread's stream (cuda::stream) and
/// the host goes on; it waits in copy_to_host and in synchronize alone, and there learns about what went
/// wrong: ShapeError for a token or target that is out of range, BackendError for all else.
struct Cuda {
  static constexpr const char* name = "cuda";

  static void* allocate(std::size_t bytes) { return cuda::allocator().allocate(bytes); }
  static void deallocate(void* block, std::size_t bytes) { cuda::allocator().deallocate(block, bytes); }
  static auto memory_statistics() { return cuda::allocator().statistics(); }
  static void set_cache_limit(std::size_t bytes) { cuda::allocator().set_cache_limit(bytes); }
  static void empty_cache() { cuda::allocator().release_cached(); }
  static void fill_zero(void* data, std::size_t bytes, cuda::Place place = {}) {
    if (bytes == 0) return;
    cuda::check("cudaMemsetAsync", cudaMemsetAsync(data, 0, bytes, cuda::stream()), place);
  }
  template <class T>
  static void fill(T* data, std::int64_t size, T value, cuda::Place place = {});
  template <class T, class S>
  static void fill_sequence(T* data, std::int64_t size, S start, S step) {
    cuda::launch(cuda::fill_sequence_kernel<T, S>, cuda::grid_for(size), cuda::block_size, 0, data, size,
                 start, step);
  }
  static void copy(void* to, const void* from, std::size_t bytes, cuda::Place place = {}) {
    memcpy(to, from, bytes, cudaMemcpyDeviceToDevice, place);
  }
  /// `from` may be changed as soon as this returns, unless it is page-locked memory.
  static void copy_from_host(void* to, const void* from, std::size_t bytes, cuda::Place place = {}) {
    memcpy(to, from, bytes, cudaMemcpyHostToDevice, place);
  }
  /// Waits until the values are there.
  static void copy_to_host(void* to, const void* from, std::size_t bytes, cuda::Place place = {}) {
    memcpy(to, from, bytes, cudaMemcpyDeviceToHost, place);
    synchronize(place);
  }
  /// Waits until all work handed to this thread's stream is done.
  static void synchronize(cuda::Place place = {}) { cuda::IndexErrorNotes::instance().synchronize(place); }

 private:
  static void memcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cuda::Place place) {
    if (bytes == 0) return;  // empty ranges may have null pointers
    // A graph would keep the host's address, whatever lies there when it is replayed.
    if (kind != cudaMemcpyDeviceToDevice && cuda::is_captured()) {
      throw BackendError("cuda: a copy from or to the host at " + cuda::to_string(place) +
                         " cannot be captured in a graph; make it before the capture or after a replay");
    }
    cuda::check("cudaMemcpyAsync", cudaMemcpyAsync(to, from, bytes, kind, cuda::stream()), place);
  }
};

template <class T>
void Cuda::fill(T* data, std::int64_t size, T value, cuda::Place place) {
  cuda::launch(cuda::fill_kernel<T>, cuda::Grid(cuda::grid_for(size), place), cuda::block_size, 0, data, size,
               value);
}

namespace cuda {
/// Working memory for kernels that are launched while it lives.
template <class T>
using Scratch = ScratchMemory<T, Cuda>;
}  // namespace cuda

}  // namespace cria
