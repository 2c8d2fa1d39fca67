#pragma once
/// Streams: queues of work.

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "cuda_runtime_api.h"

namespace cuda_emulation {

/// One operation. Its bugs are reported when it runs.
using Work = std::function<void()>;

struct Node {
  Work work;
  std::vector<std::size_t> after;  // earlier nodes of the same graph
};

/// A graph that is being captured.
struct Capture {
  CUstream_st* origin = nullptr;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::vector<Node> nodes;
  std::set<CUstream_st*> streams;
  bool invalidated = false;
};

/// Gives work to a stream: it runs at once, later (lazy streams), or becomes a node of the graph that the
/// stream captures.
cudaError_t submit(cudaStream_t stream, Work work);

bool is_capturing(cudaStream_t stream);
/// For calls that a capture forbids: invalidates it and returns what they have to return; cudaSuccess if none
/// is active.
cudaError_t forbidden_while_capturing();
/// The same for work in the legacy stream.
cudaError_t forbidden_in_legacy_stream(cudaStream_t stream);
/// Is it a stream that exists?
bool is_stream(cudaStream_t stream);

void finish_stream(cudaStream_t stream);
void finish_all_streams();

}  // namespace cuda_emulation

/// Names of the toolkit's own headers.
struct CUstream_st {
  unsigned flags = 0;
  int priority = 0;
  std::deque<cuda_emulation::Work> pending;
  std::uint64_t submitted = 0, completed = 0;
  std::shared_ptr<cuda_emulation::Capture> capture;
  std::set<std::size_t> tail;  // nodes that the next captured one comes after
};
