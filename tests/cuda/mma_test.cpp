#include "cria/backend/cuda/mma.cuh"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "cria/backend/cuda/allocator.hpp"
#include "cria/backend/cuda/launch.hpp"
#include "cria/core/tensor.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(cuda)
BOOST_AUTO_TEST_SUITE(mma)

namespace {

using namespace cria;
namespace gpu = cria::cuda;  // cuda is the suite
using cria::test::Values;

// The operands lie in rows of 24 elements in shared memory, as attention's do: 16 bytes more than they need.
constexpr int pitch = 24;

/// d [16, 8] = c + a [16, 16] b, b given as [16, 8] or, transposed, as [8, 16]. One warp.
template <class T, bool Transposed>
__global__ void multiply(float* d, const float* c, const T* a, const T* b) {
  T* const left = static_cast<T*>(gpu::dynamic_shared_memory());
  T* const right = left + 16 * pitch;
  const int lane = static_cast<int>(threadIdx.x), group = lane / 4, place = lane % 4;
  for (int i = lane; i < 16 * 16; i += 32) left[i / 16 * pitch + i % 16] = a[i];
  constexpr int b_columns = Transposed ? 16 : 8;
  for (int i = lane; i < 16 * 16; i += 32) {  // 8 more rows or columns, that the product does not use
    const int row = i / 16, column = i % 16;
    const bool used = Transposed ? row < 8 : column < 8;
    right[row * pitch + column] = used ? b[row * b_columns + column] : T(1000.0f);
  }
  __syncwarp();
  std::uint32_t left_operand[4], right_operand[4];
  gpu::load_matrices(left_operand, left + lane % 16 * pitch + lane / 16 * 8);
  if constexpr (Transposed) {
    gpu::load_matrices(right_operand, right + (lane % 8 + lane / 16 * 8) * pitch + lane / 8 % 2 * 8);
  } else {
    gpu::load_matrices_transposed(right_operand, right + lane % 16 * pitch + lane / 16 * 8);
  }
  float top[2], bottom[2];
  for (int e = 0; e < 2; ++e) {
    top[e] = c[group * 8 + 2 * place + e];
    bottom[e] = c[(group + 8) * 8 + 2 * place + e];
  }
  if constexpr (gpu::on_tensor_cores<T>) {
    gpu::mma<T>(top, bottom, left_operand, {right_operand[0], right_operand[1]});
  }
  for (int e = 0; e < 2; ++e) {
    d[group * 8 + 2 * place + e] = top[e];
    d[(group + 8) * 8 + 2 * place + e] = bottom[e];
  }
}

template <class T>
void check_product() {
  // Small integers: sums are exact in any order.
  std::vector<T> a, b;
  std::vector<float> c;
  for (int i = 0; i < 256; ++i) a.push_back(T(static_cast<float>(i * i % 17 - 8)));
  for (int i = 0; i < 128; ++i) b.push_back(T(static_cast<float>(i * 5 % 13 - 6)));
  for (int i = 0; i < 128; ++i) c.push_back(static_cast<float>(i));
  const auto left = Tensor<T, Cuda>::from({16, 16}, a), right = Tensor<T, Cuda>::from({16, 8}, b);
  const auto start = Tensor<float, Cuda>::from({16, 8}, c);
  for (const bool transposed : {false, true}) {
    auto result = Tensor<float, Cuda>::empty({16, 8});
    const auto kernel = transposed ? multiply<T, true> : multiply<T, false>;
    gpu::launch(kernel, 1, 32, 2 * 16 * pitch * sizeof(T), result.mutable_vec().data, start.vec().data,
                left.vec().data, right.vec().data);
    std::vector<float> want = c;
    for (std::size_t i = 0; i < 16; ++i) {
      for (std::size_t j = 0; j < 8; ++j) {
        for (std::size_t k = 0; k < 16; ++k) {
          const T factor = transposed ? b[j * 16 + k] : b[k * 8 + j];
          want[i * 8 + j] += static_cast<float>(a[i * 16 + k]) * static_cast<float>(factor);
        }
      }
    }
    BOOST_TEST(result.to_vector() == want, boost::test_tools::per_element());
  }
}

/// Each lane's four registers of two elements: to [32, 4, 2].
template <bool Transposed>
__global__ void load_four(float16* to, const float16* from) {
  float16* const matrices = static_cast<float16*>(gpu::dynamic_shared_memory());  // [32, pitch]
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = 0; i < 8; ++i) matrices[lane * pitch + i] = from[lane * 8 + i];
  __syncwarp();
  std::uint32_t loaded[4];
  if constexpr (Transposed) {
    gpu::load_matrices_transposed(loaded, matrices + lane * pitch);
  } else {
    gpu::load_matrices(loaded, matrices + lane * pitch);
  }
  for (int i = 0; i < 4; ++i) {
    to[(lane * 4 + i) * 2] = float16::from_bits(static_cast<std::uint16_t>(loaded[i]));
    to[(lane * 4 + i) * 2 + 1] = float16::from_bits(static_cast<std::uint16_t>(loaded[i] >> 16));
  }
}

template <class T>
__global__ void pack_pair(T* to, float low, float high) {
  const std::uint32_t both = gpu::pack<T>(low, high);
  to[0] = T::from_bits(static_cast<std::uint16_t>(both));
  to[1] = T::from_bits(static_cast<std::uint16_t>(both >> 16));
}

template <int Bytes>
__global__ void copy(std::uint16_t* to, const std::uint16_t* from, int valid_threads) {
  constexpr int size = Bytes / 2;
  auto* const shared = static_cast<std::uint16_t*>(gpu::dynamic_shared_memory());
  const int thread = static_cast<int>(threadIdx.x);
  const bool valid = thread < valid_threads;
  gpu::copy_async<Bytes>(shared + thread * size, valid ? from + thread * size : nullptr, valid);
  gpu::wait_for_copies();
  __syncthreads();
  for (int i = thread; i < 64 * size; i += 64) to[i] = shared[i];
}

template <int Bytes>
void check_copy() {
  constexpr int count = 64 * Bytes / 2, valid_threads = 51;
  std::vector<float16> numbers;
  for (int i = 0; i < count; ++i) numbers.push_back(float16(static_cast<float>(i + 1)));
  const auto from = Tensor<float16, Cuda>::from({count}, numbers);
  auto to = Tensor<float16, Cuda>::empty({count});
  gpu::launch(copy<Bytes>, 1, 64, 64 * Bytes, reinterpret_cast<std::uint16_t*>(to.mutable_vec().data),
              reinterpret_cast<const std::uint16_t*>(from.vec().data), valid_threads);
  const auto got = to.to_vector();
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const bool valid = i < static_cast<std::size_t>(valid_threads * Bytes / 2);
    BOOST_TEST(static_cast<float>(got[i]) == (valid ? static_cast<float>(numbers[i]) : 0.0f));
  }
}

__global__ void powers_of_two(float* to, const float* exponents) {
  to[threadIdx.x] = gpu::fast_exp2(exponents[threadIdx.x]);
}

}  // namespace

BOOST_AUTO_TEST_CASE(products_are_those_of_loops) {
  check_product<bfloat16>();
  check_product<float16>();
}

BOOST_AUTO_TEST_CASE(matrices_are_spread_over_the_lanes) {
  std::vector<float16> elements;
  for (int i = 0; i < 256; ++i) elements.push_back(float16(static_cast<float>(i)));
  const auto from = Tensor<float16, Cuda>::from({4, 8, 8}, elements);
  auto to = Tensor<float16, Cuda>::empty({32, 4, 2});
  for (const bool transposed : {false, true}) {
    const auto kernel = transposed ? load_four<true> : load_four<false>;
    gpu::launch(kernel, 1, 32, 32 * pitch * sizeof(float16), to.mutable_vec().data, from.vec().data);
    const auto got = to.to_vector();
    for (std::size_t lane = 0; lane < 32; ++lane) {
      for (std::size_t matrix = 0; matrix < 4; ++matrix) {
        for (std::size_t e = 0; e < 2; ++e) {
          const std::size_t group = lane / 4, along = 2 * (lane % 4) + e;
          const std::size_t element = matrix * 64 + (transposed ? along * 8 + group : group * 8 + along);
          BOOST_TEST(static_cast<float>(got[(lane * 4 + matrix) * 2 + e]) == static_cast<float>(element));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(packs_round_to_nearest_and_keep_the_order) {
  const auto check = []<class T>(T) {
    auto to = Tensor<T, Cuda>::empty({2});
    for (const float low : {1.0f / 3, -65000.0f, 1e-6f}) {
      const float high = -3 * low;
      gpu::launch(pack_pair<T>, 1, 1, 0, to.mutable_vec().data, low, high);
      const auto got = to.to_vector();
      BOOST_TEST(got[0].bits == T(low).bits);
      BOOST_TEST(got[1].bits == T(high).bits);
    }
  };
  check(bfloat16());
  check(float16());
}

BOOST_AUTO_TEST_CASE(copies_arrive_with_zeros_where_there_is_nothing) {
  check_copy<2>();
  check_copy<4>();
  check_copy<8>();
  check_copy<16>();
}

BOOST_AUTO_TEST_CASE(powers_of_two_are_close) {
  std::vector<float> exponents;
  for (int i = 0; i < 64; ++i) exponents.push_back(static_cast<float>(i) * -1.7f);
  exponents.back() = -INFINITY;
  const auto from = Tensor<float, Cuda>::from({64}, exponents);
  auto to = Tensor<float, Cuda>::empty({64});
  gpu::launch(powers_of_two, 1, 64, 0, to.mutable_vec().data, from.vec().data);
  const auto got = to.to_vector();
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double want = std::exp2(static_cast<double>(exponents[i]));
    BOOST_TEST(std::abs(got[i] - want) <= 4e-7 * want);
  }
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
