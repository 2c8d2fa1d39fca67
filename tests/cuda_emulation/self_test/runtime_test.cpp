// Devices, memory, launches, warps and atomics.

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <string>

#include "cuda_emulation/control.hpp"
#include "cuda_emulation/counters.hpp"
#include "device.hpp"

using namespace self_test;
using cuda_emulation::DeviceOverride;
using cuda_emulation::DeviceState;

namespace {

struct Clean {
  ~Clean() { cuda_emulation::clear_reports(); }
};

template <class... Parameters, class... Arguments>
cudaError_t launch(dim3 blocks, dim3 threads, void (*kernel)(Parameters...), Arguments... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = blocks;
  config.blockDim = threads;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

__global__ void indices(unsigned* out) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned index = block * blockDim.x * blockDim.y * blockDim.z + thread;
  out[index] = index;
}

__global__ void shuffles(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  out[lane] = __shfl_sync(0xFFFFFFFFu, lane, 5);
  out[32 + lane] = __shfl_sync(0xFFFFFFFFu, lane, 1, 8);
  out[64 + lane] = __shfl_up_sync(0xFFFFFFFFu, lane, 2u);
  out[96 + lane] = __shfl_down_sync(0xFFFFFFFFu, lane, 2u, 16);
  out[128 + lane] = __shfl_xor_sync(0xFFFFFFFFu, lane, 1);
  out[160 + lane] = static_cast<int>(__shfl_xor_sync(0xFFFFFFFFu, static_cast<double>(lane), 16));
  out[192 + lane] = static_cast<int>(__ballot_sync(0xFFFFFFFFu, lane < 3));
  out[224 + lane] = __any_sync(0xFFFFFFFFu, lane == 7) * 2 + __all_sync(0xFFFFFFFFu, lane < 31);
}

// Halves of a warp at once, each among themselves.
__global__ void half_warps(int* out) {
  const bool low = threadIdx.x < 16;
  int sum = low ? 1 : 2;
  for (int bits = 8; bits > 0; bits /= 2) sum += __shfl_xor_sync(low ? 0x0000FFFFu : 0xFFFF0000u, sum, bits);
  out[threadIdx.x] = sum;
}

__global__ void atomics(int* integers, float* sum) {
  const int value = static_cast<int>(threadIdx.x);
  atomicAdd(&integers[0], value);
  atomicMax(&integers[1], value);
  atomicMin(&integers[2], value);
  atomicCAS(&integers[3], 0, value);
  atomicExch(&integers[4], value);
  atomicAdd(sum, 0.5f);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(runtime, Clean)

BOOST_AUTO_TEST_CASE(every_thread_has_its_indices) {
  for (const auto order :
       {cuda_emulation::Order::forward, cuda_emulation::Order::reverse, cuda_emulation::Order::random}) {
    cuda_emulation::set_order(order, 3);
    const DeviceArray<unsigned> out(2 * 3 * 4 * 5 * 6 * 7);
    check(launch(dim3(2, 3, 4), dim3(5, 6, 7), indices, out.data()));
    const auto values = out.values();
    for (unsigned i = 0; i < values.size(); ++i) BOOST_REQUIRE(values[i] == i);
  }
  cuda_emulation::set_order(cuda_emulation::Order::forward);
}

BOOST_AUTO_TEST_CASE(warp_operations) {
  for (const auto order :
       {cuda_emulation::Order::forward, cuda_emulation::Order::reverse, cuda_emulation::Order::random}) {
    cuda_emulation::set_order(order, 5);
    const DeviceArray<int> out(256);
    check(launch(1, 32, shuffles, out.data()));
    const auto values = out.values();
    for (int lane = 0; lane < 32; ++lane) {
      const auto at = [&](int row) { return values[static_cast<std::size_t>(row * 32 + lane)]; };
      BOOST_REQUIRE(at(0) == 5);
      BOOST_REQUIRE(at(1) == lane / 8 * 8 + 1);
      BOOST_REQUIRE(at(2) == (lane < 2 ? lane : lane - 2));
      BOOST_REQUIRE(at(3) == (lane % 16 < 14 ? lane + 2 : lane));
      BOOST_REQUIRE(at(4) == (lane ^ 1));
      BOOST_REQUIRE(at(5) == (lane ^ 16));
      BOOST_REQUIRE(at(6) == 7);
      BOOST_REQUIRE(at(7) == 2);
    }
    check(launch(1, 32, half_warps, out.data()));
    BOOST_TEST(out.values()[0] == 16);
    BOOST_TEST(out.values()[31] == 32);
  }
  cuda_emulation::set_order(cuda_emulation::Order::forward);
}

BOOST_AUTO_TEST_CASE(atomic_operations) {
  const DeviceArray<int> integers(std::vector<int>(5, 0));
  const DeviceArray<float> sum(std::vector<float>(1, 0.0f));
  check(launch(1, 64, atomics, integers.data(), sum.data()));
  BOOST_TEST(integers.values() == (std::vector<int>{2016, 63, 0, 1, 63}), boost::test_tools::per_element());
  BOOST_TEST(sum.values()[0] == 32);
}

BOOST_AUTO_TEST_CASE(properties_of_the_device) {
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, 0));
  BOOST_TEST(properties.major == 8);
  BOOST_TEST(properties.multiProcessorCount == 108);
  BOOST_TEST(properties.sharedMemPerBlock == 49152u);
  BOOST_TEST(properties.sharedMemPerBlockOptin == 166912u);
  BOOST_TEST(cudaSetDevice(1) == cudaErrorInvalidDevice);
  BOOST_TEST(cudaFuncSetAttribute(indices, cudaFuncAttributeMaxDynamicSharedMemorySize, 166913) ==
             cudaErrorInvalidValue);
}

BOOST_AUTO_TEST_CASE(devices_that_cannot_be_used) {
  int count = -1, value = 0;
  {
    const DeviceOverride none(DeviceState::none);
    BOOST_TEST(cudaGetDeviceCount(&count) == cudaErrorNoDevice);
    BOOST_TEST(count == 0);
    void* memory = nullptr;
    BOOST_TEST(cudaMalloc(&memory, 1) == cudaErrorNoDevice);
  }
  {
    const DeviceOverride old(DeviceState::old_driver);
    BOOST_TEST(cudaSetDevice(0) == cudaErrorInsufficientDriver);
    check(cudaDriverGetVersion(&value));
    BOOST_TEST(value < 13000);
  }
  const DeviceOverride turing(DeviceState::present, 7, 5);
  check(cudaDeviceGetAttribute(&value, cudaDevAttrComputeCapabilityMajor, 0));
  BOOST_TEST(value == 7);
  check(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
  BOOST_TEST(value == 65536);
}

BOOST_AUTO_TEST_CASE(memory_is_limited_and_accounted_for) {
  const DeviceOverride small(DeviceState::present, 8, 0, 1 << 20);
  std::size_t free_before = 0, free_after = 0, total = 0;
  check(cudaMemGetInfo(&free_before, &total));
  BOOST_TEST(total == 1u << 20);
  void *first = nullptr, *second = nullptr;
  check(cudaMalloc(&first, 600 << 10));
  check(cudaMemGetInfo(&free_after, &total));
  BOOST_TEST(free_before - free_after == 600u << 10);
  BOOST_TEST(cudaMalloc(&second, 600 << 10) == cudaErrorMemoryAllocation);
  BOOST_TEST(cudaGetLastError() == cudaErrorMemoryAllocation);
  BOOST_TEST(cudaGetLastError() == cudaSuccess);
  check(cudaFree(first));
  check(cudaMalloc(&second, 600 << 10));
  check(cudaFree(second));
}

BOOST_AUTO_TEST_CASE(copies_are_checked) {
  const DeviceArray<float> device(8);
  std::vector<float> host(16, 0.0f);
  BOOST_TEST(cudaMemcpy(device.data(), host.data(), 64, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  BOOST_TEST(cudaMemcpy(device.data(), host.data(), 32, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  BOOST_TEST(cuda_emulation::first_report().find("not inside of one allocation") != std::string::npos);
  BOOST_TEST(cudaFree(host.data()) == cudaErrorInvalidValue);
}

BOOST_AUTO_TEST_CASE(a_failed_kernel_fails_every_later_call) {
  const DeviceArray<int> out(64);
  BOOST_TEST(launch(1, 16, shuffles, out.data()) == cudaErrorLaunchFailure);
  BOOST_TEST(cudaDeviceSynchronize() == cudaErrorLaunchFailure);
  BOOST_TEST(cudaGetLastError() == cudaErrorLaunchFailure);
  BOOST_TEST(cudaPeekAtLastError() == cudaErrorLaunchFailure);
  cuda_emulation::clear_reports();
  BOOST_TEST(cudaGetLastError() == cudaSuccess);
}

BOOST_AUTO_TEST_CASE(launches_are_counted_by_name) {
  cuda_emulation::reset_counters();
  const DeviceArray<unsigned> out(256);
  for (int i = 0; i < 3; ++i) check(launch(2, 128, indices, out.data()));
  out.values();
  const auto counters = cuda_emulation::kernel_counters();
  BOOST_REQUIRE(counters.size() == 2);
  BOOST_TEST(counters[0].name == "(anonymous namespace)::indices");
  BOOST_TEST(counters[0].launches == 3);
  BOOST_TEST(counters[0].threads == 3 * 256);
  BOOST_TEST(counters[1].name == "memcpy to the host");
  BOOST_TEST(counters[1].bytes_read == 1024);
}

BOOST_AUTO_TEST_CASE(copies_of_pageable_memory_are_counted) {
  const DeviceArray<unsigned> on_device(std::vector<unsigned>(64, 1));
  unsigned pageable[64] = {};
  void* pinned = nullptr;
  check(cudaMallocHost(&pinned, sizeof(pageable)));
  cuda_emulation::reset_counters();
  check(cudaMemcpy(on_device.data(), pinned, sizeof(pageable), cudaMemcpyHostToDevice));
  check(cudaMemcpy(pinned, on_device.data(), sizeof(pageable), cudaMemcpyDeviceToHost));
  BOOST_TEST(cuda_emulation::pageable_copies() == 0u);
  check(cudaMemcpy(on_device.data(), pageable, sizeof(pageable), cudaMemcpyHostToDevice));
  check(cudaMemcpy(pageable, on_device.data(), sizeof(pageable), cudaMemcpyDeviceToHost));
  BOOST_TEST(cuda_emulation::pageable_copies() == 2u);
  cuda_emulation::reset_counters();
  BOOST_TEST(cuda_emulation::pageable_copies() == 0u);
  check(cudaFreeHost(pinned));
}

BOOST_AUTO_TEST_SUITE_END()
