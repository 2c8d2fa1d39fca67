// Lazy streams show missing synchronisation; graphs replay what was captured, and refuse what a device
// refuses.

#include <boost/test/unit_test.hpp>

#include <functional>
#include "cuda_emulation/control.hpp"
#include "device.hpp"

using namespace self_test;
using cuda_emulation::Order;
using cuda_emulation::Streams;

namespace {

__global__ void add(float* y, float value) {
  y[threadIdx.x] += value;
}
__global__ void set_product(float* y, const float* x, float factor) {
  y[threadIdx.x] = factor * x[threadIdx.x];
}

constexpr unsigned kSize = 32;
constexpr std::size_t kBytes = kSize * sizeof(float);

class Stream {
 public:
  explicit Stream(unsigned flags = cudaStreamNonBlocking) {
    check(cudaStreamCreateWithFlags(&stream_, flags));
  }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  explicit Event(unsigned flags = cudaEventDisableTiming) { check(cudaEventCreateWithFlags(&event_, flags)); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  operator cudaEvent_t() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

template <class... Parameters, class... Arguments>
cudaError_t launch(cudaStream_t stream, void (*kernel)(Parameters...), Arguments... arguments) {
  const cudaLaunchConfig_t config = configuration(1, kSize, 0, stream);
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

// Two arrays of zeros, streams that run late, and a clean slate afterwards.
struct Lazy {
  DeviceArray<float> x{std::vector<float>(kSize, 0.0f)}, y{std::vector<float>(kSize, 0.0f)};
  Stream first, second;

  Lazy() { cuda_emulation::set_streams(Streams::lazy); }
  ~Lazy() {
    cuda_emulation::set_streams(Streams::synchronous);
    cuda_emulation::set_order(Order::forward);
    cuda_emulation::clear_reports();
  }

  // Copies without waiting for anything but the second stream.
  float result() {
    float value = -1;
    check(cudaMemcpyAsync(&value, y.data(), sizeof value, cudaMemcpyDeviceToHost, second));
    check(cudaStreamSynchronize(second));
    return value;
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(streams)

BOOST_FIXTURE_TEST_CASE(missing_wait_shows_stale_data, Lazy) {
  check(launch(first, add, x.data(), 3.0f));
  check(launch(second, set_product, y.data(), x.data(), 2.0f));
  BOOST_TEST(result() == 0);
}

BOOST_FIXTURE_TEST_CASE(event_orders_streams, Lazy) {
  const Event event;
  check(launch(first, add, x.data(), 3.0f));
  check(cudaEventRecord(event, first));
  BOOST_TEST(cudaEventQuery(event) == cudaErrorNotReady);
  check(cudaStreamWaitEvent(second, event));
  check(launch(second, set_product, y.data(), x.data(), 2.0f));
  BOOST_TEST(result() == 6);
  BOOST_TEST(cudaEventQuery(event) == cudaSuccess);
}

BOOST_FIXTURE_TEST_CASE(blocking_streams_wait_for_the_legacy_stream, Lazy) {
  const Stream blocking(cudaStreamDefault);
  check(launch(nullptr, add, x.data(), 3.0f));
  check(launch(blocking, set_product, y.data(), x.data(), 2.0f));
  check(launch(nullptr, add, y.data(), 1.0f));
  check(cudaStreamSynchronize(nullptr));
  BOOST_TEST(result() == 7);
}

BOOST_FIXTURE_TEST_CASE(copy_to_host_is_late, Lazy) {
  std::vector<float> host(kSize, 5.0f);
  check(cudaMemcpyAsync(host.data(), x.data(), kBytes, cudaMemcpyDeviceToHost, first));
  BOOST_TEST(host[0] == 5);
  check(cudaStreamSynchronize(first));
  BOOST_TEST(host[0] == 0);
}

BOOST_FIXTURE_TEST_CASE(pinned_memory_is_read_late_and_pageable_at_once, Lazy) {
  float* pinned = nullptr;
  check(cudaMallocHost(&pinned, kBytes));
  std::vector<float> pageable(kSize, 1.0f);
  std::fill_n(pinned, kSize, 1.0f);
  check(cudaMemcpyAsync(x.data(), pageable.data(), kBytes, cudaMemcpyHostToDevice, first));
  check(cudaMemcpyAsync(y.data(), pinned, kBytes, cudaMemcpyHostToDevice, first));
  pageable[0] = pinned[0] = 2;
  check(cudaStreamSynchronize(first));
  BOOST_TEST(x.values()[0] == 1);
  BOOST_TEST(y.values()[0] == 2);
  check(cudaFreeHost(pinned));
}

BOOST_FIXTURE_TEST_CASE(stream_ordered_free_comes_after_earlier_work, Lazy) {
  float* memory = nullptr;
  check(cudaMallocAsync(&memory, kBytes, first));
  check(cudaMemsetAsync(memory, 0, kBytes, first));
  check(launch(first, add, memory, 1.0f));
  check(launch(first, set_product, y.data(), static_cast<const float*>(memory), 4.0f));
  check(cudaFreeAsync(memory, first));
  check(cudaStreamSynchronize(first));
  BOOST_TEST(result() == 4);
}

BOOST_AUTO_TEST_CASE(events_measure_time) {
  const Event start(cudaEventDefault), end(cudaEventDefault), without;
  check(cudaEventRecord(start));
  check(cudaEventRecord(end));
  check(cudaEventRecord(without));
  float milliseconds = -1;
  check(cudaEventElapsedTime(&milliseconds, start, end));
  BOOST_TEST(milliseconds >= 0);
  BOOST_TEST(cudaEventElapsedTime(&milliseconds, start, without) == cudaErrorInvalidResourceHandle);
  cuda_emulation::clear_reports();
}

BOOST_AUTO_TEST_SUITE_END()

namespace {

// Captures work(stream); replays it so many times.
template <class Work>
cudaError_t capture(cudaStream_t stream, Work work, int replays) {
  cudaGraph_t graph = nullptr;
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  work();
  if (const cudaError_t error = cudaStreamEndCapture(stream, &graph)) return error;
  cudaGraphExec_t executable = nullptr;
  check(cudaGraphInstantiate(&executable, graph));
  check(cudaGraphDestroy(graph));
  for (int i = 0; i < replays; ++i) check(cudaGraphLaunch(executable, stream));
  check(cudaStreamSynchronize(stream));
  check(cudaGraphExecDestroy(executable));
  return cudaSuccess;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(graphs)

BOOST_FIXTURE_TEST_CASE(capture_records_and_launch_replays, Lazy) {
  const cudaError_t error = capture(
      second,
      [&] {
        cudaStreamCaptureStatus status{};
        check(cudaStreamIsCapturing(second, &status));
        BOOST_TEST(status == cudaStreamCaptureStatusActive);
        check(cudaMemsetAsync(y.data(), 0, kBytes, second));
        check(launch(second, add, x.data(), 1.0f));
        check(launch(second, add, y.data(), 2.0f));
      },
      3);
  BOOST_TEST(error == cudaSuccess);
  BOOST_TEST(result() == 2);
  BOOST_TEST(x.values()[0] == 3);
}

// A captured fork and join; the branches' nodes may run in any order that respects them.
BOOST_FIXTURE_TEST_CASE(other_streams_join_a_capture, Lazy) {
  for (const Order order : {Order::forward, Order::reverse, Order::random}) {
    cuda_emulation::set_order(order, 7);
    check(cudaMemset(x.data(), 0, kBytes));
    check(cudaStreamSynchronize(nullptr));
    const Event fork, join;
    const cudaError_t error = capture(
        second,
        [&] {
          check(launch(second, add, x.data(), 3.0f));
          check(cudaEventRecord(fork, second));
          check(cudaStreamWaitEvent(first, fork));
          check(launch(first, set_product, y.data(), x.data(), 2.0f));
          check(cudaEventRecord(join, first));
          check(cudaStreamWaitEvent(second, join));
          check(launch(second, add, y.data(), 1.0f));
        },
        1);
    BOOST_TEST(error == cudaSuccess);
    BOOST_TEST(result() == 7);
  }
}

BOOST_FIXTURE_TEST_CASE(unjoined_work_is_an_error, Lazy) {
  const Event fork;
  const cudaError_t error = capture(
      second,
      [&] {
        check(cudaEventRecord(fork, second));
        check(cudaStreamWaitEvent(first, fork));
        check(launch(first, add, x.data(), 2.0f));
      },
      0);
  BOOST_TEST(error == cudaErrorStreamCaptureUnjoined);
}

BOOST_FIXTURE_TEST_CASE(synchronising_calls_invalidate_a_capture, Lazy) {
  void* memory = nullptr;
  const Event recorded;
  check(cudaEventRecord(recorded, first));
  const std::vector<std::pair<const char*, std::function<cudaError_t()>>> calls = {
      {"synchronize", [&] { return cudaStreamSynchronize(second); }},
      {"device", [] { return cudaDeviceSynchronize(); }},
      {"query", [&] { return cudaEventQuery(recorded); }},
      {"malloc", [&] { return cudaMalloc(&memory, 64); }},
      {"free", [&] { return cudaFree(x.data()); }},
      {"memcpy", [&] { return cudaMemcpy(y.data(), x.data(), kBytes, cudaMemcpyDeviceToDevice); }},
  };
  for (const auto& each : calls) {
    const auto& call = each.second;
    BOOST_TEST_CONTEXT(each.first) {
      const cudaError_t error = capture(
          second, [&] { BOOST_TEST(call() == cudaErrorStreamCaptureUnsupported); }, 0);
      BOOST_TEST(error == cudaErrorStreamCaptureInvalidated);
    }
  }
}

BOOST_FIXTURE_TEST_CASE(other_errors_of_capture, Lazy) {
  const Event outside, inside;
  check(cudaEventRecord(outside, first));
  std::vector<float> pageable(kSize);
  BOOST_TEST(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal) ==
             cudaErrorStreamCaptureUnsupported);
  capture(
      second,
      [&] {
        BOOST_TEST(cudaMemcpyAsync(x.data(), pageable.data(), kBytes, cudaMemcpyHostToDevice, second) ==
                   cudaErrorStreamCaptureUnsupported);
        check(cudaEventRecord(inside, second));
        BOOST_TEST(cudaEventSynchronize(inside) == cudaErrorCapturedEvent);
      },
      0);
  BOOST_TEST(capture(
                 second, [&] { cudaStreamWaitEvent(second, outside); }, 0) ==
             cudaErrorStreamCaptureInvalidated);
  const Stream blocking(cudaStreamDefault);
  const cudaError_t error = capture(
      blocking, [&] { BOOST_TEST(launch(nullptr, add, x.data(), 1.0f) == cudaErrorStreamCaptureImplicit); },
      0);
  BOOST_TEST(error == cudaErrorStreamCaptureInvalidated);
}

// A cache of memory asks events while another stream is captured; in relaxed mode it may.
BOOST_FIXTURE_TEST_CASE(relaxed_threads_may_make_unsafe_calls, Lazy) {
  const Event recorded;
  check(cudaEventRecord(recorded, first));
  const cudaError_t error = capture(
      second,
      [&] {
        auto mode = cudaStreamCaptureModeRelaxed;
        check(cudaThreadExchangeStreamCaptureMode(&mode));
        BOOST_TEST(cudaEventQuery(recorded) == cudaErrorNotReady);
        check(cudaThreadExchangeStreamCaptureMode(&mode));
        check(launch(second, add, x.data(), 1.0f));
      },
      1);
  BOOST_TEST(error == cudaSuccess);
  BOOST_TEST(x.values()[0] == 1);
}

BOOST_AUTO_TEST_SUITE_END()
