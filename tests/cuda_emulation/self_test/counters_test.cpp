// What the checker counts: traffic of kernels, sectors and bank conflicts of lines.

#include "cuda_emulation/counters.hpp"

#include <boost/test/unit_test.hpp>

#include "cuda_emulation/tensor_core.hpp"
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

constexpr unsigned widest_pitch = 144;

__device__ char* filled_shared_memory() {
  auto* memory = static_cast<char*>(cuda_emulation::dynamic_shared_memory());
  for (unsigned i = threadIdx.x; i < 32 * widest_pitch / sizeof(float); i += 32)
    reinterpret_cast<float*>(memory)[i] = 0;
  __syncwarp();
  return memory;
}

// Lanes read what lies `pitch` bytes apart.
template <class Vector>
__global__ void read_shared(unsigned pitch, float* y) {
  const auto* from = reinterpret_cast<const Vector*>(filled_shared_memory() + threadIdx.x * pitch);
  const Vector value = *from;
  y[threadIdx.x] = *reinterpret_cast<const float*>(&value);
}

template <bool transposed>
__global__ void load_matrices(unsigned pitch, float* y) {
  std::uint32_t loaded[4];
  const char* row = filled_shared_memory() + threadIdx.x * pitch;
  if (transposed)
    cuda_emulation::load_4_matrices_transposed(loaded, row);
  else
    cuda_emulation::load_4_matrices(loaded, row);
  y[threadIdx.x] = static_cast<float>(loaded[0]);
}

// All lanes copy a word, then every second lane another.
__global__ void copy_some_asynchronously(const float* x, float* y) {
  auto* memory = static_cast<float*>(cuda_emulation::dynamic_shared_memory());
  for (unsigned i = threadIdx.x; i < 64; i += 32)
    cuda_emulation::copy_async(memory + i, x + i, 4, i < 32 || i % 2 == 0);
  cuda_emulation::wait_for_copies();
  y[threadIdx.x] = memory[32 + threadIdx.x];
}

[[gnu::noinline]] __device__ float negated(float x) {
  return -x;
}

// In each round other lanes copy, and others call a function. In the first block half of them do nothing.
__global__ void copy_two_of_three(const float* x, float* y) {
  if (blockIdx.x == 0 && threadIdx.x >= 16) return;
  for (unsigned i = threadIdx.x; i < 96; i += 32) {
    const bool calls = i % 5 == 0, copies = i % 3 != 0;
    const float sign = calls ? negated(1.0f) : 1.0f;
    if (copies) y[blockIdx.x * 96 + i] = sign * x[i];
  }
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
    const cudaLaunchConfig_t config = configuration(blocks, 32, 32 * widest_pitch);
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

// A bank gives a word at a time; eight bytes are read by half of a warp at once, sixteen by a quarter.
BOOST_AUTO_TEST_CASE(conflicts_of_wide_accesses) {
  struct Case {
    const char* what;
    void (*kernel)(unsigned, float*);
    unsigned pitch;
    std::uint64_t ideal_passes, passes, ways;
  };
  for (const Case& each : {
           Case{"words side by side", read_shared<float>, 4, 1, 1, 1},
           Case{"one word for all", read_shared<float>, 0, 1, 1, 1},
           Case{"every second word", read_shared<float>, 8, 1, 2, 2},
           Case{"a column of words", read_shared<float>, 128, 1, 32, 32},
           Case{"a padded column of words", read_shared<float>, 132, 1, 1, 1},
           Case{"eight bytes side by side", read_shared<float2>, 8, 2, 2, 1},
           Case{"a column of eight bytes", read_shared<float2>, 128, 2, 32, 16},
           Case{"sixteen bytes side by side", read_shared<float4>, 16, 4, 4, 1},
           Case{"every second sixteen bytes", read_shared<float4>, 32, 4, 8, 2},
           Case{"a column of sixteen bytes", read_shared<float4>, 128, 4, 32, 8},
           Case{"a padded column of sixteen bytes", read_shared<float4>, 144, 4, 4, 1},
           Case{"matrices with rows in a column", load_matrices<false>, 128, 4, 32, 8},
           Case{"matrices with rows in a padded column", load_matrices<false>, 144, 4, 4, 1},
           Case{"transposed matrices with rows in a column", load_matrices<true>, 128, 4, 32, 8},
           Case{"transposed matrices with rows in a padded column", load_matrices<true>, 144, 4, 4, 1},
       }) {
    BOOST_TEST_CONTEXT(each.what) {
      cuda_emulation::reset_counters();
      run(1, each.kernel, each.pitch, y.data());
      BOOST_TEST(line(true, false).requests == 1);
      BOOST_TEST(line(true, false).ideal_passes == each.ideal_passes);
      BOOST_TEST(line(true, false).passes == each.passes);
      BOOST_TEST(line(true, false).ways == each.ways);
    }
  }
}

BOOST_AUTO_TEST_CASE(lanes_without_a_source_keep_their_place) {
  run(1, copy_some_asynchronously, x.data(), y.data());
  BOOST_TEST(line(false, false).requests == 2);
  BOOST_TEST(line(false, false).sectors == 4 + 4);
  BOOST_TEST(line(false, false).ideal_sectors == 4 + 2);
}

BOOST_AUTO_TEST_CASE(lanes_that_skip_a_round_are_missing_from_it) {
  run(3, copy_two_of_three, x.data(), y.data());
  for (const bool write : {false, true}) {
    BOOST_TEST(line(false, write).requests == 3);
    BOOST_TEST(line(false, write).sectors == 3 * 4);
    BOOST_TEST(line(false, write).ideal_sectors == 3 * 3);
  }
}

BOOST_AUTO_TEST_SUITE_END()
