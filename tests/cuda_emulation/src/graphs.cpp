#include "graphs.hpp"

#include <algorithm>

#include "runtime.hpp"
#include "settings.hpp"

using namespace cuda_emulation;

namespace {

// An order that CUDA could choose: nodes run after those that they depend on, else as the schedule says.
std::vector<std::size_t> execution_order(const std::vector<Node>& nodes) {
  std::vector<std::size_t> order, ready;
  std::vector<bool> done(nodes.size());
  std::uint32_t state = schedule().seed;
  while (order.size() < nodes.size()) {
    ready.clear();
    for (std::size_t i = 0; i < nodes.size(); ++i)
      if (!done[i] &&
          std::all_of(nodes[i].after.begin(), nodes[i].after.end(), [&](auto n) { return done[n]; })) {
        ready.push_back(i);
        if (schedule().order == Order::forward) break;
      }
    std::size_t choice = 0;
    if (schedule().order == Order::reverse) choice = ready.size() - 1;
    if (schedule().order == Order::random) choice = (state = state * 1664525u + 1013904223u) % ready.size();
    order.push_back(ready[choice]);
    done[ready[choice]] = true;
  }
  return order;
}

}  // namespace

extern "C" {

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const RuntimeLock lock;
  *graph = nullptr;
  if (const cudaError_t error = standing_error()) return remember(error);
  if (!is_stream(stream)) return remember(cudaErrorInvalidResourceHandle);
  if (!is_capturing(stream)) return remember(cudaErrorIllegalState);
  const std::shared_ptr<Capture> capture = stream->capture;
  if (capture->origin != stream) return remember(cudaErrorStreamCaptureUnmatched);
  // Work of other streams must have been waited for by this one.
  std::set<std::size_t> joined = stream->tail;
  for (std::size_t i = capture->nodes.size(); i-- > 0;)
    if (joined.contains(i)) joined.insert(capture->nodes[i].after.begin(), capture->nodes[i].after.end());
  const bool unjoined = joined.size() != capture->nodes.size();
  for (cudaStream_t each : capture->streams)
    if (is_stream(each)) {
      each->capture.reset();
      each->tail.clear();
    }
  if (capture->invalidated) return remember(cudaErrorStreamCaptureInvalidated);
  if (unjoined) return remember(cudaErrorStreamCaptureUnjoined);
  *graph = new CUgraph_st{capture->nodes};
  return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
  const RuntimeLock lock;
  if (!graph || !count || nodes) return remember(cudaErrorNotSupported);
  *count = graph->nodes.size();
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  if (!graph) return remember(cudaErrorInvalidValue);
  *executable = new CUgraphExec_st{std::make_shared<const std::vector<Node>>(graph->nodes)};
  return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t executable, cudaStream_t) {
  const RuntimeLock lock;
  return remember(executable ? standing_error() : cudaErrorInvalidValue);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  if (!executable) return remember(cudaErrorInvalidValue);
  return remember(submit(stream, [nodes = executable->nodes] {
    for (const std::size_t i : execution_order(*nodes)) (*nodes)[i].work();
  }));
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  const RuntimeLock lock;
  delete executable;
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  const RuntimeLock lock;
  delete graph;
  return cudaSuccess;
}

}  // extern "C"
