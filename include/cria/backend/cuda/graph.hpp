#pragma once
/// Work that is submitted kernel by kernel once and then replayed by one call.

#include <cuda_runtime.h>

#include <mutex>
#include <utility>

#include "cria/backend/cuda/blas.hpp"
#include "cria/backend/cuda/cuda.hpp"

namespace cria::cuda {

/// A CUDA graph. What `work` computes in capture() is not computed then but by every replay(), from what is
/// in the tensors that it reads at that moment, into the same memory each time: hold the tensors that it
/// reads and those that it gives. It must not wait for the device (item, to_vector), numbers of the host that
/// it uses stay what they were, and it must have run before, outside of the graph, since what is made once
/// (tables, plans of products) cannot be made on the way. Memory that it allocates and frees is not used for
/// anything but graphs, which share it: replay all of them on one stream.
class Graph {
 public:
  Graph() = default;
  ~Graph() { discard(); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// Takes the place of what was captured before. Throws BackendError if the allocator passes requests
  /// through, since the memory would not last.
  template <class Work>
  void capture(Work&& work) {
    if (allocator().pass_through()) {
      throw BackendError("cuda: a graph needs the caching allocator; unset CRIA_CUDA_PASS_THROUGH");
    }
    discard();
    static auto* mutex = new std::mutex;
    const std::lock_guard lock(*mutex);
    const cudaStream_t stream = capturing_stream();
    const StreamScope scope(stream);
    check("cudaStreamBeginCapture", cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    cudaGraph_t graph = nullptr;
    try {
      std::forward<Work>(work)();
    } catch (...) {
      if (cudaStreamEndCapture(stream, &graph) == cudaSuccess) static_cast<void>(cudaGraphDestroy(graph));
      static_cast<void>(cudaGetLastError());  // the exception says more
      throw;
    }
    check("cudaStreamEndCapture", cudaStreamEndCapture(stream, &graph));
    const cudaError_t status = cudaGraphInstantiate(&executable_, graph, 0);
    check("cudaGraphDestroy", cudaGraphDestroy(graph));
    check("cudaGraphInstantiate", status);
  }

  bool is_captured() const { return executable_ != nullptr; }
  /// Forgets the work; nothing is captured then.
  void discard() {
    if (executable_) static_cast<void>(cudaGraphExecDestroy(std::exchange(executable_, nullptr)));
  }

  /// Submits the work to this thread's stream.
  void replay() {
    IndexErrorNotes::instance().expect_from(capturing_stream());  // where its kernels leave notes
    check("cudaGraphLaunch", cudaGraphLaunch(executable_, stream()));
  }

 private:
  /// The stream that graphs are captured on, whose memory is theirs.
  CRIA_SHARED static cudaStream_t capturing_stream() {
    static const cudaStream_t instance = [] {
      cudaStream_t stream;
      check("cudaStreamCreateWithFlags", cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
      allocator().keep(stream);
      const StreamScope scope(stream);
      Blas::of_stream();  // neither of them can be made during a capture
      IndexErrorNotes::instance().for_kernel();
      check("cudaStreamSynchronize", cudaStreamSynchronize(stream));  // graphs run on other streams
      return stream;
    }();
    return instance;
  }

  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace cria::cuda
