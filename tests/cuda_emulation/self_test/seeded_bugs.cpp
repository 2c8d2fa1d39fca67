// Kernels and host code that are right, and the same with a bug. `seeded_bugs NAME` runs the one with the
// bug, `seeded_bugs correct` all that are right. A result that is not as it should be gives the line "wrong
// result".

#include <cublas_v2.h>

#include <cmath>
#include <functional>
#include <map>
#include <string>

#include "cuda_emulation/control.hpp"
#include "device.hpp"

using namespace self_test;

namespace {

constexpr unsigned kAllLanes = 0xFFFFFFFFu;

void expect(float got, float want) {
  if (std::abs(got - want) <= 1e-4f * std::abs(want)) return;
  std::printf("wrong result: %g instead of %g\n", static_cast<double>(got), static_cast<double>(want));
  std::exit(1);
}

template <class... Parameters, class... Arguments>
void run(void (*kernel)(Parameters...), unsigned blocks, unsigned threads, std::size_t shared_memory,
         Arguments... arguments) {
  const cudaLaunchConfig_t config = configuration(blocks, threads, shared_memory);
  check(cudaLaunchKernelEx(&config, kernel, arguments...));
  check(cudaDeviceSynchronize());
}

std::vector<float> ones(std::size_t size) {
  return std::vector<float>(size, 1.0f);
}

__device__ float warp_sum(float value) {
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(kAllLanes, value, offset);
  return value;
}

// ---- the sum of a block, with its ways to go wrong --------------------------------------------------

enum class Sum {
  correct,
  redundant_barrier_left_out,
  missing_barrier,
  barrier_in_one_warp,
  barrier_on_other_line,
  early_return,
  wrong_shuffle_mask,
  forgotten_offset
};

template <Sum kind>
__global__ void block_sum(const float* x, float* y) {
  __shared__ float partial[32];
  const unsigned thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
  if (kind == Sum::early_return && thread == 77) return;
  float value = x[blockIdx.x * blockDim.x + thread];
  if constexpr (kind == Sum::wrong_shuffle_mask) value += __shfl_xor_sync(0x0000FFFFu, value, 16);
  if constexpr (kind == Sum::forgotten_offset) {
    for (int offset = 16; offset > 1; offset /= 2) value += __shfl_xor_sync(kAllLanes, value, offset);
  } else {
    value = warp_sum(value);
  }
  // Nobody read partial yet, so this barrier guards nothing.
  if constexpr (kind != Sum::redundant_barrier_left_out) __syncthreads();
  if (lane == 0) partial[warp] = value;
  if constexpr (kind == Sum::barrier_in_one_warp) {
    if (warp == 0) __syncthreads();
  } else if constexpr (kind == Sum::barrier_on_other_line) {
    if (warp == 0)
      __syncthreads();
    else
      __syncthreads();
  } else if constexpr (kind != Sum::missing_barrier) {
    __syncthreads();
  }
  if (warp == 0) {
    value = warp_sum(lane < blockDim.x / 32 ? partial[lane] : 0.0f);
    if (lane == 0) y[blockIdx.x] = value;
  }
}

template <Sum kind>
void sum() {
  constexpr unsigned kBlocks = 3, kThreads = 128;
  std::vector<float> x(kBlocks * kThreads);
  float want = 0;
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  for (std::size_t i = kThreads; i < 2 * kThreads; ++i) want += x[i];
  const DeviceArray<float> device_x(x), y(kBlocks);
  run(block_sum<kind>, kBlocks, kThreads, 0, device_x.data(), y.data());
  expect(y.values()[1], want);
}

// ---- tiles that are overwritten ---------------------------------------------------------------------

// Every thread sums all elements of each tile, which another thread loaded.
template <bool bug>
__global__ void sum_tiles(const float* x, float* y, int tiles) {
  auto* tile = static_cast<float*>(cuda_emulation::dynamic_shared_memory());
  float sum = 0;
  for (int t = 0; t < tiles; ++t) {
    tile[threadIdx.x] = x[t * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x)];
    __syncthreads();
    for (unsigned i = 0; i < blockDim.x; ++i) sum += tile[i];
    if constexpr (!bug) __syncthreads();
  }
  y[threadIdx.x] = sum;
}

template <bool bug>
void overwritten_tile() {
  constexpr int kThreads = 64, kTiles = 4;
  std::vector<float> x(kThreads * kTiles);
  float want = 0;
  for (std::size_t i = 0; i < x.size(); ++i) want += x[i] = static_cast<float>(i);
  const DeviceArray<float> device_x(x), y(kThreads);
  run(sum_tiles<bug>, 1, kThreads, kThreads * sizeof(float), device_x.data(), y.data(), kTiles);
  for (const float got : y.values()) expect(got, want);
}

template <bool bug>
__global__ void reverse_in_warp(const float* x, float* y) {
  auto* values = static_cast<float*>(cuda_emulation::dynamic_shared_memory());
  values[threadIdx.x] = x[threadIdx.x];
  if constexpr (!bug) __syncwarp();
  y[threadIdx.x] = values[31 - threadIdx.x];
}

template <bool bug>
void missing_syncwarp() {
  const DeviceArray<float> x(ones(32)), y(32);
  run(reverse_in_warp<bug>, 1, 32, 32 * sizeof(float), x.data(), y.data());
  for (const float got : y.values()) expect(got, 1);
}

// All lanes read a value, which one of them then replaces.
template <bool bug>
__global__ void replace_after_reads(float* y) {
  auto* values = static_cast<float*>(cuda_emulation::dynamic_shared_memory());
  if (threadIdx.x == 0) *values = 1;
  __syncwarp();
  const float first = *values;
  if constexpr (!bug) __syncwarp();
  if (threadIdx.x == 0) *values = *values + 1;
  __syncwarp();
  y[threadIdx.x] = first + *values;
}

template <bool bug>
void overwritten_after_reads() {
  const DeviceArray<float> y(32);
  run(replace_after_reads<bug>, 1, 32, sizeof(float), y.data());
  for (const float got : y.values()) expect(got, 3);
}

// ---- barriers and masks -----------------------------------------------------------------------------

template <bool bug>
__global__ void count_barriers(float* y) {
  const unsigned trips = bug ? threadIdx.x / 32 + 1 : 2;
  for (unsigned i = 0; i < trips; ++i) __syncthreads();
  y[threadIdx.x] = 1;
}

template <bool bug>
void trip_counts_differ() {
  const DeviceArray<float> y(64);
  run(count_barriers<bug>, 1, 64, 0, y.data());
  expect(y.values()[63], 1);
}

template <bool bug>
__global__ void sum_in_branch(float* y) {
  float value = 1;
  if (threadIdx.x < 16)
    for (int offset = 8; offset > 0; offset /= 2)
      value += __shfl_xor_sync(bug ? kAllLanes : 0x0000FFFFu, value, offset);
  y[threadIdx.x] = value;
}

template <bool bug>
void full_mask_in_branch() {
  const DeviceArray<float> y(32);
  run(sum_in_branch<bug>, 1, 32, 0, y.data());
  expect(y.values()[0], 16);
}

template <bool bug>
__global__ void barrier_instead_of_shuffle(float* y) {
  if (bug && threadIdx.x >= 16) __syncthreads();
  y[threadIdx.x] = warp_sum(1);
}

template <bool bug>
void deadlock() {
  const DeviceArray<float> y(32);
  run(barrier_instead_of_shuffle<bug>, 1, 32, 0, y.data());
  expect(y.values()[0], 32);
}

__global__ void sum_of_warps(float* y) {
  y[threadIdx.x] = warp_sum(1);
}

template <bool bug>
void partial_warp() {
  const DeviceArray<float> y(64);
  run(sum_of_warps, 1, bug ? 48 : 64, 0, y.data());
  expect(y.values()[0], 32);
}

// ---- accesses out of bounds -------------------------------------------------------------------------

enum class Bounds { correct, read, read_times_zero, write };

template <Bounds kind>
__global__ void differences(const float* x, float* y, int rows, int columns) {
  const int row = static_cast<int>(blockIdx.x), column = static_cast<int>(threadIdx.x);
  const bool last = column + 1 == columns;
  float next = 0;
  if constexpr (kind == Bounds::read)
    next = x[row * columns + column + 1];
  else if constexpr (kind == Bounds::read_times_zero)
    next = (last ? 0.0f : 1.0f) * std::fmax(-1.0f, std::fmin(1.0f, x[row * columns + column + 1]));
  else if (!last)
    next = x[row * columns + column + 1];
  y[row * columns + column] = next - x[row * columns + column];
  if constexpr (kind == Bounds::write)
    if (last) y[row * columns + columns] = 0;
  if (row == rows) y[0] = 0;
}

template <Bounds kind>
void bounds() {
  constexpr int kRows = 3, kColumns = 32;
  const DeviceArray<float> x(ones(kRows * kColumns)), y(kRows * kColumns);
  run(differences<kind>, kRows, kColumns, 0, x.data(), y.data(), kRows, kColumns);
  expect(y.values().back(), -1);
}

template <bool bug>
__global__ void fixed_shared(float* y, int first) {
  __shared__ float values[32];
  values[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = values[static_cast<int>(threadIdx.x) + first];
}

template <bool bug>
void fixed_shared_overrun() {
  const DeviceArray<float> y(32);
  run(fixed_shared<bug>, 1, 32, 0, y.data(), bug ? 1 : 0);
  expect(y.values()[0], 1);
}

__global__ void dynamic_shared(float* y, int first) {
  auto* values = static_cast<float*>(cuda_emulation::dynamic_shared_memory());
  values[static_cast<int>(threadIdx.x) + first] = 1;
  __syncthreads();
  y[threadIdx.x] = 1;
}

template <bool bug>
void dynamic_shared_overrun() {
  const DeviceArray<float> y(32);
  run(dynamic_shared, 1, 32, 32 * sizeof(float), y.data(), bug ? 1 : 0);
  expect(y.values()[0], 1);
}

__global__ void local_array(float* y, int count) {
  float values[8];
  for (int i = 0; i < count; ++i) values[i] = static_cast<float>(i);
  float sum = 0;
  for (int i = 0; i < 8; ++i) sum += values[(i + static_cast<int>(threadIdx.x)) % 8];
  y[threadIdx.x] = sum;
}

template <bool bug>
void local_array_overrun() {
  const DeviceArray<float> y(32);
  run(local_array, 1, 32, 0, y.data(), bug ? 9 : 8);
  expect(y.values()[0], 28);
}

__global__ void last_index(float* y, int rows, int columns) {
  const int last = rows * columns - 1;
  y[threadIdx.x] = last > 0 ? 1.0f : 2.0f;
}

template <bool bug>
void index_overflow() {
  const DeviceArray<float> y(32);
  run(last_index, 1, 32, 0, y.data(), bug ? 65536 : 4, 65536);
  expect(y.values()[0], 1);
}

// ---- between blocks ---------------------------------------------------------------------------------

template <bool bug>
__global__ void sum_over_blocks(float* sums) {
  if constexpr (bug)
    sums[threadIdx.x] += 1;
  else
    atomicAdd(&sums[threadIdx.x], 1);
}

template <bool bug>
void unordered_sum() {
  const DeviceArray<float> sums(std::vector<float>(32, 0.0f));
  run(sum_over_blocks<bug>, 4, 32, 0, sums.data());
  expect(sums.values()[3], 4);
}

// The block that is the last to finish adds what the others left.
template <bool bug>
__global__ void last_block_sum(float* partial, unsigned* finished, float* y) {
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = static_cast<float>(blockIdx.x);
    if constexpr (!bug) __threadfence();
    if (atomicAdd(finished, 1) == gridDim.x - 1) {
      float sum = 0;
      for (unsigned i = 0; i < gridDim.x; ++i) sum += partial[i];
      *y = sum;
    }
  }
}

template <bool bug>
void missing_fence() {
  const DeviceArray<float> partial(8), y(1);
  const DeviceArray<unsigned> finished(std::vector<unsigned>(1, 0));
  run(last_block_sum<bug>, 8, 32, 0, partial.data(), finished.data(), y.data());
  expect(y.values()[0], 28);
}

// ---- memory of the wrong kind or state --------------------------------------------------------------

__global__ void copy(const float* x, float* y) {
  y[threadIdx.x] = x[threadIdx.x];
}

template <bool bug>
void host_dereference() {
  const DeviceArray<float> x(ones(32));
  expect(bug ? x.data()[3] : x.values()[3], 1);
}

template <bool bug>
void host_pointer_in_kernel() {
  const std::vector<float> host = ones(32);
  const DeviceArray<float> x(host), y(32);
  run(copy, 1, 32, 0, bug ? host.data() : x.data(), y.data());
  expect(y.values()[0], 1);
}

template <bool bug>
void uninitialized_memory() {
  const DeviceArray<float> x(32), y(32);
  if (!bug) check(cudaMemset(x.data(), 0, 32 * sizeof(float)));
  run(copy, 1, 32, 0, x.data(), y.data());
  expect(y.values()[0], 0);
}

template <bool bug>
void use_after_free() {
  float* x = nullptr;
  check(cudaMalloc(&x, 32 * sizeof(float)));
  check(cudaMemset(x, 0, 32 * sizeof(float)));
  const DeviceArray<float> y(32);
  if (bug) check(cudaFree(x));
  run(copy, 1, 32, 0, x, y.data());
  if (!bug) check(cudaFree(x));
  expect(y.values()[0], 0);
}

// ---- launches and libraries -------------------------------------------------------------------------

template <bool bug>
void shared_memory_not_asked_for() {
  const DeviceArray<float> y(32);
  if (!bug)
    check(cudaFuncSetAttribute(dynamic_shared, cudaFuncAttributeMaxDynamicSharedMemorySize, 60 << 10));
  run(dynamic_shared, 1, 32, 60 << 10, y.data(), 0);
}

// As much as a kernel may have in all without asking: nothing is left for its static arrays.
template <bool bug>
void static_shared_memory_forgotten() {
  const DeviceArray<float> y(32);
  if (!bug)
    check(cudaFuncSetAttribute(dynamic_shared, cudaFuncAttributeMaxDynamicSharedMemorySize, 48 << 10));
  run(dynamic_shared, 1, 32, 48 << 10, y.data(), 0);
}

template <bool bug>
void too_many_threads() {
  const DeviceArray<float> y(2048);
  run(sum_of_warps, 1, bug ? 2048 : 1024, 0, y.data());
}

template <bool bug>
void empty_grid() {
  const DeviceArray<float> y(32);
  run(sum_of_warps, bug ? 0 : 1, 32, 0, y.data());
}

enum class Product { correct, small_operand, host_operand, uninitialized_operand, leading_dimension };

template <Product kind>
void product() {
  const DeviceArray<float> a(ones(kind == Product::small_operand ? 11 : 12)), b(ones(20)), c(15), unset(12);
  const std::vector<float> host = ones(12);
  const float* left = kind == Product::host_operand            ? host.data()
                      : kind == Product::uninitialized_operand ? unset.data()
                                                               : a.data();
  cublasHandle_t handle = nullptr;
  cublasCreate(&handle);
  const float one = 1, zero = 0;
  const cublasStatus_t status =
      cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, 3, 5, 4, &one, left, CUDA_R_32F,
                   kind == Product::leading_dimension ? 2 : 3, b.data(), CUDA_R_32F, 4, &zero, c.data(),
                   CUDA_R_32F, 3, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
  cublasDestroy(handle);
  if (status != CUBLAS_STATUS_SUCCESS) {
    std::printf("status %d\n", status);
    std::exit(1);
  }
  expect(c.values()[14], 4);
}

// Vectors are loaded from multiples of their size.
__global__ void sum_of_vector(const float* x, float* y) {
  const float4 four = *reinterpret_cast<const float4*>(x);
  y[0] = four.x + four.y + four.z + four.w;
}

template <bool bug>
void misaligned_vector() {
  const DeviceArray<float> x(ones(8)), y(1);
  run(sum_of_vector, 1, 1, 0, static_cast<const float*>(x.data()) + (bug ? 1 : 4), y.data());
  expect(y.values()[0], 4);
}

struct Case {
  const char* name;
  void (*bug)();
  void (*correct)();
};

const Case kCases[] = {
    {"redundant_barrier_left_out", sum<Sum::redundant_barrier_left_out>,
     sum<Sum::redundant_barrier_left_out>},
    {"missing_barrier", sum<Sum::missing_barrier>, sum<Sum::correct>},
    {"barrier_in_one_warp", sum<Sum::barrier_in_one_warp>, sum<Sum::correct>},
    {"barrier_on_other_line", sum<Sum::barrier_on_other_line>, sum<Sum::correct>},
    {"early_return", sum<Sum::early_return>, sum<Sum::correct>},
    {"wrong_shuffle_mask", sum<Sum::wrong_shuffle_mask>, sum<Sum::correct>},
    {"forgotten_offset", sum<Sum::forgotten_offset>, sum<Sum::correct>},
    {"overwritten_tile", overwritten_tile<true>, overwritten_tile<false>},
    {"missing_syncwarp", missing_syncwarp<true>, missing_syncwarp<false>},
    {"overwritten_after_reads", overwritten_after_reads<true>, overwritten_after_reads<false>},
    {"trip_counts_differ", trip_counts_differ<true>, trip_counts_differ<false>},
    {"full_mask_in_branch", full_mask_in_branch<true>, full_mask_in_branch<false>},
    {"deadlock", deadlock<true>, deadlock<false>},
    {"partial_warp", partial_warp<true>, partial_warp<false>},
    {"read_past_end", bounds<Bounds::read>, bounds<Bounds::correct>},
    {"read_past_end_times_zero", bounds<Bounds::read_times_zero>, bounds<Bounds::correct>},
    {"write_past_end", bounds<Bounds::write>, bounds<Bounds::correct>},
    {"fixed_shared_overrun", fixed_shared_overrun<true>, fixed_shared_overrun<false>},
    {"dynamic_shared_overrun", dynamic_shared_overrun<true>, dynamic_shared_overrun<false>},
    {"local_array_overrun", local_array_overrun<true>, local_array_overrun<false>},
    {"index_overflow", index_overflow<true>, index_overflow<false>},
    {"unordered_sum", unordered_sum<true>, unordered_sum<false>},
    {"missing_fence", missing_fence<true>, missing_fence<false>},
    {"host_dereference", host_dereference<true>, host_dereference<false>},
    {"host_pointer_in_kernel", host_pointer_in_kernel<true>, host_pointer_in_kernel<false>},
    {"misaligned_vector", misaligned_vector<true>, misaligned_vector<false>},
    {"uninitialized_memory", uninitialized_memory<true>, uninitialized_memory<false>},
    {"use_after_free", use_after_free<true>, use_after_free<false>},
    {"shared_memory_not_asked_for", shared_memory_not_asked_for<true>, shared_memory_not_asked_for<false>},
    {"static_shared_memory_forgotten", static_shared_memory_forgotten<true>,
     static_shared_memory_forgotten<false>},
    {"too_many_threads", too_many_threads<true>, too_many_threads<false>},
    {"empty_grid", empty_grid<true>, empty_grid<false>},
    {"small_operand", product<Product::small_operand>, product<Product::correct>},
    {"host_operand", product<Product::host_operand>, product<Product::correct>},
    {"uninitialized_operand", product<Product::uninitialized_operand>, product<Product::correct>},
    {"leading_dimension", product<Product::leading_dimension>, product<Product::correct>},
};

}  // namespace

int main(int count, char** arguments) {
  const std::string name = count == 2 ? arguments[1] : "";
  for (const Case& each : kCases)
    if (name == "correct" || name == each.name) (name == "correct" ? each.correct : each.bug)();
  std::printf("%d reports\n", cuda_emulation::report_count());
  return cuda_emulation::report_count() == 0 ? 0 : 1;
}
