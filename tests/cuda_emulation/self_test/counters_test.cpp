// What the checker counts: traffic of kernels, sectors and bank conflicts of lines.

#include "cuda_emulation/counters.hpp"

#include <boost/test/unit_test.hpp>

#include "device.hpp"

using namespace self_test;

namespace {

__global__ void copy_vectors(const float4* x, float4* y) {
  y[threadIdx.x] = x[threadIdx.x];
}

// Adds in registers, so that the elements of the vectors are used one by one.
__global__ void add_vectors(const float4* x, float4* y) {
  float4 value = x[threadIdx.x];
  const float4 other = y[threadIdx.x];
  value.x += other.x;
  value.y += other.y;
  value.z += other.z;
  value.w += other.w;
  y[threadIdx.x] = value;
}

__global__ void copy_strided(const float* x, float* y) {
  y[threadIdx.x] = x[threadIdx.x * 8];
}

__global__ void read_twice(const float* x, float* y) {
  y[blockIdx.x * 32 + threadIdx.x] = x[threadIdx.x] + x[31 - threadIdx.x];
}

template <int width>
__global__ void transpose(const float* x, float* y) {
  auto* tile = static_cast<float*>(cuda_emulation::dynamic_shared_memory());
  for (unsigned i = 0; i < 32; ++i) tile[i * width + threadIdx.x] = x[i * 32 + threadIdx.x];
  __syncwarp();
  for (unsigned i = 0; i < 32; ++i) y[i * 32 + threadIdx.x] = tile[threadIdx.x * width + i];
}

struct Counted {
  DeviceArray<float> x{std::vector<float>(1024, 1.0f)}, y{std::vector<float>(1024, 1.0f)};

  Counted() {
    cuda_emulation::reset_counters();
    cuda_emulation::count_lines(true);
  }
  ~Counted() { cuda_emulation::count_lines(false); }

  template <class... Parameters, class... Arguments>
  cuda_emulation::KernelCounters run(unsigned blocks, void (*kernel)(Parameters...), Arguments... arguments) {
    const cudaLaunchConfig_t config = configuration(blocks, 32, 48 << 10);
    check(cudaLaunchKernelEx(&config, kernel, arguments...));
    return cuda_emulation::kernel_counters().back();
  }
  float4* vectors(const DeviceArray<float>& array) { return reinterpret_cast<float4*>(array.data()); }

  cuda_emulation::LineCounters line(bool shared, bool write) {
    for (const auto& each : cuda_emulation::line_counters())
      if (each.shared == shared && each.write == write) return each;
    BOOST_FAIL("no such line");
    return {};
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(counters, Counted)

BOOST_AUTO_TEST_CASE(vectors_are_one_access) {
  run(1, copy_vectors, vectors(x), vectors(y));
  for (const bool write : {false, true}) {
    BOOST_TEST(line(false, write).requests == 1);
    BOOST_TEST(line(false, write).sectors == 16);
    BOOST_TEST(line(false, write).ideal_sectors == 16);
  }
  BOOST_TEST(line(false, true).line.starts_with("counters_test.cpp:"));
  cuda_emulation::reset_counters();
  run(1, add_vectors, vectors(x), vectors(y));
  for (const auto& each : cuda_emulation::line_counters()) {
    BOOST_TEST(each.requests == 1);
    BOOST_TEST(each.sectors == 16);
  }
}

BOOST_AUTO_TEST_CASE(strides_waste_sectors) {
  run(1, copy_strided, x.data(), y.data());
  BOOST_TEST(line(false, false).sectors == 32);
  BOOST_TEST(line(false, false).ideal_sectors == 4);
  BOOST_TEST(line(false, true).sectors == 4);
}

BOOST_AUTO_TEST_CASE(traffic_counts_what_is_needed_once) {
  const auto counters = run(3, read_twice, x.data(), y.data());
  BOOST_TEST(counters.bytes_read == 128);
  BOOST_TEST(counters.bytes_written == 3 * 128);
  BOOST_TEST(counters.requested_read == 3 * 256);
  BOOST_TEST(counters.requested_written == 3 * 128);
}

BOOST_AUTO_TEST_CASE(bank_conflicts) {
  run(1, transpose<32>, x.data(), y.data());
  BOOST_TEST(line(true, false).passes == 32 * line(true, false).ideal_passes);
  BOOST_TEST(line(true, true).passes == line(true, true).ideal_passes);
  cuda_emulation::reset_counters();
  run(1, transpose<33>, x.data(), y.data());
  BOOST_TEST(line(true, false).passes == line(true, false).ideal_passes);
}

BOOST_AUTO_TEST_SUITE_END()
