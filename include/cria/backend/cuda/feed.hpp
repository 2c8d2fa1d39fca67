#pragma once
/// Arrays on their way to the device while it still works on the ones before.

#include <cuda_runtime.h>

#include <cstring>
#include <span>

#include "cria/backend/cuda/cuda.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/tensor.hpp"

namespace cria {

/// Brings arrays of one shape to the device, each into one of two tensors in turn. The copies run on a stream
/// of their own, from page-locked memory, and the host waits for nothing but the copy before the last.
template <class T>
class Feed<T, Cuda> {
 public:
  explicit Feed(const Shape& shape) : sides_{Side(shape), Side(shape)} {
    cuda::check("cudaStreamCreateWithFlags", cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  }
  ~Feed() { static_cast<void>(cudaStreamDestroy(stream_)); }
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  /// The values, for work that is submitted to this thread's stream before the next call. Throws ShapeError
  /// if their number is not the shape's.
  const Tensor<T, Cuda>& operator()(std::span<const T> values) {
    Side &last = sides_[last_], &side = sides_[1 - last_];
    if (static_cast<std::int64_t>(values.size()) != side.tensor.size()) {
      throw ShapeError("Feed: " + std::to_string(values.size()) + " values were given for shape " +
                       to_string(side.tensor.shape()));
    }
    last_ = 1 - last_;
    record(last.used, cuda::stream());  // all work with it has been submitted by now
    wait(stream_, side.used);
    cuda::check("cudaEventSynchronize", cudaEventSynchronize(side.copied));
    std::memcpy(side.host, values.data(), values.size_bytes());
    cuda::check("cudaMemcpyAsync", cudaMemcpyAsync(side.tensor.mutable_vec().data, side.host,
                                                   values.size_bytes(), cudaMemcpyHostToDevice, stream_));
    record(side.copied, stream_);
    wait(cuda::stream(), side.copied);
    return side.tensor;
  }

 private:
  /// A tensor, the host's memory that it is copied from, and two moments: the copy's end, the end of the work
  /// that reads the tensor.
  struct Side {
    Tensor<T, Cuda> tensor;
    T* host = nullptr;
    cudaEvent_t copied, used;

    explicit Side(const Shape& shape) : tensor(Tensor<T, Cuda>::empty(shape)) {
      void* memory = nullptr;
      cuda::check("cudaMallocHost",
                  cudaMallocHost(&memory, static_cast<std::size_t>(shape.size()) * sizeof(T)));
      host = static_cast<T*>(memory);
      cuda::check("cudaEventCreateWithFlags", cudaEventCreateWithFlags(&copied, cudaEventDisableTiming));
      cuda::check("cudaEventCreateWithFlags", cudaEventCreateWithFlags(&used, cudaEventDisableTiming));
      record(used, cuda::stream());  // the tensor's memory may have been another's, which work still reads
    }
    ~Side() {
      static_cast<void>(cudaEventSynchronize(copied));
      static_cast<void>(cudaEventDestroy(copied));
      static_cast<void>(cudaEventDestroy(used));
      static_cast<void>(cudaFreeHost(host));
    }
    Side(const Side&) = delete;
    Side& operator=(const Side&) = delete;
  };

  static void record(cudaEvent_t event, cudaStream_t stream) {
    cuda::check("cudaEventRecord", cudaEventRecord(event, stream));
  }
  static void wait(cudaStream_t stream, cudaEvent_t event) {
    cuda::check("cudaStreamWaitEvent", cudaStreamWaitEvent(stream, event));
  }

  Side sides_[2];
  cudaStream_t stream_ = nullptr;
  int last_ = 0;  // the side of the last call
};

}  // namespace cria
