#include "streams.hpp"

#include <chrono>

#include "runtime.hpp"
#include "settings.hpp"

using namespace cuda_emulation;
using Clock = std::chrono::steady_clock;

// What an event marks: a position in a stream, or nodes of a graph that is being captured.
struct CUevent_st {
  unsigned flags = 0;
  bool recorded = false;
  std::shared_ptr<CUstream_st> stream;
  std::uint64_t position = 0;
  std::shared_ptr<Clock::time_point> time;
  std::shared_ptr<Capture> capture;
  std::set<std::size_t> nodes;
};

namespace cuda_emulation {
namespace {

std::shared_ptr<CUstream_st> legacy = std::make_shared<CUstream_st>();
std::set<std::shared_ptr<CUstream_st>> streams;
std::set<cudaEvent_t> events;
thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;

std::shared_ptr<CUstream_st> find(cudaStream_t stream) {
  if (stream == nullptr || stream == cudaStreamLegacy) return legacy;
  for (const auto& each : streams)
    if (each.get() == stream) return each;
  return nullptr;
}

// Runs the stream's work up to a position.
void run_until(CUstream_st& stream, std::uint64_t position) {
  while (stream.completed < position && !stream.pending.empty()) {
    const Work work = std::move(stream.pending.front());
    stream.pending.pop_front();
    work();
    ++stream.completed;
  }
}

// A schedule of its own, not the one that orders threads.
bool coin() {
  static std::uint32_t state = 0;
  state = state * 1664525u + 1013904223u + schedule().seed;
  return state >> 31;
}

void enqueue(CUstream_st& stream, Work work) {
  // The legacy stream and blocking streams wait for each other.
  if (&stream == legacy.get()) {
    for (const auto& other : streams)
      if (!(other->flags & cudaStreamNonBlocking)) run_until(*other, other->submitted);
  } else if (!(stream.flags & cudaStreamNonBlocking)) {
    run_until(*legacy, legacy->submitted);
  }
  stream.pending.push_back(std::move(work));
  ++stream.submitted;
  if (!lazy_streams() || (schedule().order == Order::random && coin())) run_until(stream, stream.submitted);
}

bool captures(const Capture& capture) {
  return capture.mode != cudaStreamCaptureModeRelaxed && thread_mode != cudaStreamCaptureModeRelaxed;
}

std::set<Capture*> active_captures() {
  std::set<Capture*> result;
  for (const auto& stream : streams)
    if (stream->capture) result.insert(stream->capture.get());
  return result;
}

}  // namespace

bool is_stream(cudaStream_t stream) {
  return find(stream) != nullptr;
}

bool is_capturing(cudaStream_t stream) {
  const auto found = find(stream);
  return found && found->capture;
}

cudaError_t forbidden_while_capturing() {
  cudaError_t result = cudaSuccess;
  for (Capture* capture : active_captures())
    if (captures(*capture)) {
      capture->invalidated = true;
      result = cudaErrorStreamCaptureUnsupported;
    }
  return result;
}

cudaError_t forbidden_in_legacy_stream(cudaStream_t stream) {
  if (find(stream) != legacy) return cudaSuccess;
  cudaError_t result = cudaSuccess;
  for (const auto& each : streams)
    if (each->capture && !(each->flags & cudaStreamNonBlocking)) {
      each->capture->invalidated = true;
      result = cudaErrorStreamCaptureImplicit;
    }
  return result;
}

cudaError_t submit(cudaStream_t handle, Work work) {
  const auto stream = find(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (const cudaError_t error = forbidden_in_legacy_stream(handle)) return error;
  if (Capture* capture = stream->capture.get()) {
    if (capture->invalidated) return cudaErrorStreamCaptureInvalidated;
    capture->nodes.push_back({std::move(work), {stream->tail.begin(), stream->tail.end()}});
    stream->tail = {capture->nodes.size() - 1};
    return cudaSuccess;
  }
  enqueue(*stream, std::move(work));
  return standing_error();
}

void finish_stream(cudaStream_t stream) {
  if (const auto found = find(stream)) {
    if (found == legacy) {
      for (const auto& other : streams)
        if (!(other->flags & cudaStreamNonBlocking)) run_until(*other, other->submitted);
    }
    run_until(*found, found->submitted);
  }
}

void finish_all_streams() {
  run_until(*legacy, legacy->submitted);
  for (const auto& stream : streams) run_until(*stream, stream->submitted);
}

}  // namespace cuda_emulation

extern "C" {

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  auto created = std::make_shared<CUstream_st>();
  created->flags = flags;
  created->priority = priority;
  *stream = created.get();
  streams.insert(std::move(created));
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return cudaStreamCreateWithPriority(stream, flags, 0);
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const RuntimeLock lock;
  const auto found = find(stream);
  if (!found || found == legacy) return remember(cudaErrorInvalidResourceHandle);
  run_until(*found, found->submitted);
  streams.erase(found);
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  if (!is_stream(stream)) return remember(cudaErrorInvalidResourceHandle);
  if (const cudaError_t error = forbidden_in_legacy_stream(stream)) return remember(error);
  if (const cudaError_t error = forbidden_while_capturing()) return remember(error);
  finish_stream(stream);
  return remember(standing_error());
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  const auto found = find(stream);
  if (!found) return remember(cudaErrorInvalidResourceHandle);
  if (const cudaError_t error = forbidden_while_capturing()) return remember(error);
  return found->pending.empty() ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaDeviceSynchronize() {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  if (const cudaError_t error = forbidden_while_capturing()) return remember(error);
  finish_all_streams();
  return remember(standing_error());
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  const auto stream = find(handle);
  if (!stream || !events.contains(event)) return remember(cudaErrorInvalidResourceHandle);
  if (event->capture) {
    // The stream joins the capture that the event was recorded in.
    if (stream == legacy) return remember(cudaErrorStreamCaptureImplicit);
    if (stream->capture && stream->capture != event->capture) return remember(cudaErrorStreamCaptureMerge);
    stream->capture = event->capture;
    event->capture->streams.insert(stream.get());
    stream->tail.insert(event->nodes.begin(), event->nodes.end());
    return cudaSuccess;
  }
  if (stream->capture) {
    stream->capture->invalidated = true;
    return remember(cudaErrorStreamCaptureIsolation);  // it would wait for something outside of the graph
  }
  if (!event->recorded) return cudaSuccess;
  return remember(
      submit(handle, [source = event->stream, position = event->position] { run_until(*source, position); }));
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  return remember(submit(stream, [=] { function(data); }));
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  *event = new CUevent_st;
  (*event)->flags = flags;
  events.insert(*event);
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const RuntimeLock lock;
  if (events.erase(event) == 0) return remember(cudaErrorInvalidResourceHandle);
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  const auto stream = find(handle);
  if (!stream || !events.contains(event)) return remember(cudaErrorInvalidResourceHandle);
  event->recorded = true;
  event->capture = stream->capture;
  if (stream->capture) {
    event->nodes = stream->tail;
    return cudaSuccess;
  }
  event->stream = stream;
  auto time = std::make_shared<Clock::time_point>();
  event->time = time;
  const cudaError_t error = submit(handle, [time] { *time = Clock::now(); });
  event->position = stream->submitted;
  return remember(error);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  if (!events.contains(event)) return remember(cudaErrorInvalidResourceHandle);
  if (event->capture) return remember(cudaErrorCapturedEvent);
  if (const cudaError_t error = forbidden_while_capturing()) return remember(error);
  if (event->recorded) run_until(*event->stream, event->position);
  return remember(standing_error());
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  if (!events.contains(event)) return remember(cudaErrorInvalidResourceHandle);
  if (event->capture) return remember(cudaErrorCapturedEvent);
  if (const cudaError_t error = forbidden_while_capturing()) return remember(error);
  return !event->recorded || event->stream->completed >= event->position ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  if (!events.contains(start) || !events.contains(end)) return remember(cudaErrorInvalidResourceHandle);
  for (const cudaEvent_t event : {start, end}) {
    if (event->capture || !event->recorded || (event->flags & cudaEventDisableTiming))
      return remember(cudaErrorInvalidResourceHandle);
    if (event->stream->completed < event->position) return cudaErrorNotReady;
  }
  *milliseconds = std::chrono::duration<float, std::milli>(*end->time - *start->time).count();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  const auto stream = find(handle);
  if (!stream) return remember(cudaErrorInvalidResourceHandle);
  if (stream == legacy) return remember(cudaErrorStreamCaptureUnsupported);
  if (stream->capture) return remember(cudaErrorIllegalState);
  stream->capture = std::make_shared<Capture>();
  stream->capture->origin = stream.get();
  stream->capture->mode = mode;
  stream->capture->streams = {stream.get()};
  stream->tail.clear();
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  const RuntimeLock lock;
  if (const cudaError_t error = standing_error()) return remember(error);
  const auto stream = find(handle);
  if (!stream) return remember(cudaErrorInvalidResourceHandle);
  if (const cudaError_t error = forbidden_in_legacy_stream(handle)) return remember(error);
  *status = !stream->capture               ? cudaStreamCaptureStatusNone
            : stream->capture->invalidated ? cudaStreamCaptureStatusInvalidated
                                           : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(*mode, thread_mode);
  return cudaSuccess;
}

}  // extern "C"
