// Products against three loops, for every transposition and type; cuBLASLt's objects and its checks.

#include <cublasLt.h>

#include <boost/test/unit_test.hpp>
#include <cmath>

#include "cria/core/dtype.hpp"
#include "cuda_emulation/control.hpp"
#include "cuda_emulation/counters.hpp"
#include "device.hpp"

using namespace self_test;

namespace {

template <class T>
constexpr cudaDataType kType = CUDA_R_32F;
template <>
constexpr cudaDataType kType<double> = CUDA_R_64F;
template <>
constexpr cudaDataType kType<cria::bfloat16> = CUDA_R_16BF;
template <>
constexpr cudaDataType kType<cria::float16> = CUDA_R_16F;

constexpr int kM = 5, kN = 7, kK = 3, kBatch = 2;

template <class T>
std::vector<T> numbers(std::size_t size, int seed) {
  std::vector<T> result(size);
  for (std::size_t i = 0; i < size; ++i)
    result[i] = T(static_cast<float>((static_cast<int>(i) * 7 + seed) % 11 - 5));
  return result;
}

template <class T>
double wide(T value) {
  return static_cast<double>(static_cast<cria::acc_t<T>>(value));
}

// alpha op(A) op(B) + beta C; small integers, so that every type is exact.
template <class T, class Out>
std::vector<double> reference(bool ta, bool tb, const std::vector<T>& a, const std::vector<T>& b,
                              const std::vector<Out>& c, double alpha, double beta) {
  std::vector<double> d(c.size());
  for (int batch = 0; batch < kBatch; ++batch)
    for (int j = 0; j < kN; ++j)
      for (int i = 0; i < kM; ++i) {
        double sum = 0;
        for (int p = 0; p < kK; ++p)
          sum += wide(a[static_cast<std::size_t>(batch * kM * kK + (ta ? i * kK + p : p * kM + i))]) *
                 wide(b[static_cast<std::size_t>(batch * kK * kN + (tb ? p * kN + j : j * kK + p))]);
        const auto at = static_cast<std::size_t>(batch * kM * kN + j * kM + i);
        d[at] = alpha * sum + beta * wide(c[at]);
      }
  return d;
}

template <class Out>
void check_equal(const std::vector<Out>& got, const std::vector<double>& want) {
  for (std::size_t i = 0; i < want.size(); ++i) BOOST_REQUIRE_EQUAL(wide(got[i]), want[i]);
}

struct Handle {
  cublasHandle_t handle = nullptr;
  Handle() { BOOST_REQUIRE(cublasCreate(&handle) == CUBLAS_STATUS_SUCCESS); }
  ~Handle() {
    cublasDestroy(handle);
    cuda_emulation::clear_reports();
  }
};

template <class T, class Out>
void check_batched(cublasHandle_t handle) {
  const auto a = numbers<T>(kBatch * kM * kK, 1), b = numbers<T>(kBatch * kK * kN, 2);
  const auto c = numbers<Out>(kBatch * kM * kN, 3);
  using S = std::conditional_t<std::is_same_v<T, double>, double, float>;
  const auto compute = std::is_same_v<T, double> ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F;
  for (const bool ta : {false, true})
    for (const bool tb : {false, true})
      for (const S beta : {S(0), S(2)}) {
        const DeviceArray<T> da(a), db(b);
        const DeviceArray<Out> strided(c), pointed(c);
        const S alpha = 3;
        const cublasOperation_t oa = ta ? CUBLAS_OP_T : CUBLAS_OP_N, ob = tb ? CUBLAS_OP_T : CUBLAS_OP_N;
        const int lda = ta ? kK : kM, ldb = tb ? kN : kK;
        BOOST_REQUIRE(cublasGemmStridedBatchedEx(handle, oa, ob, kM, kN, kK, &alpha, da.data(), kType<T>, lda,
                                                 kM * kK, db.data(), kType<T>, ldb, kK * kN, &beta,
                                                 strided.data(), kType<Out>, kM, kM * kN, kBatch, compute,
                                                 CUBLAS_GEMM_DEFAULT) == CUBLAS_STATUS_SUCCESS);
        check_equal(strided.values(),
                    reference(ta, tb, a, b, c, static_cast<double>(alpha), static_cast<double>(beta)));
        const DeviceArray<const void*> pa({da.data(), da.data() + kM * kK}),
            pb({db.data(), db.data() + kK * kN});
        const DeviceArray<void*> pc({pointed.data(), pointed.data() + kM * kN});
        BOOST_REQUIRE(cublasGemmBatchedEx(handle, oa, ob, kM, kN, kK, &alpha, pa.data(), kType<T>, lda,
                                          pb.data(), kType<T>, ldb, &beta, pc.data(), kType<Out>, kM, kBatch,
                                          compute, CUBLAS_GEMM_DEFAULT) == CUBLAS_STATUS_SUCCESS);
        check_equal(pointed.values(),
                    reference(ta, tb, a, b, c, static_cast<double>(alpha), static_cast<double>(beta)));
      }
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(cublas, Handle)

BOOST_AUTO_TEST_CASE(batched_products_of_all_types) {
  check_batched<float, float>(handle);
  check_batched<double, double>(handle);
  check_batched<cria::bfloat16, cria::bfloat16>(handle);
  check_batched<cria::bfloat16, float>(handle);
  check_batched<cria::float16, cria::float16>(handle);
  check_batched<cria::float16, float>(handle);
}

BOOST_AUTO_TEST_CASE(tf32_rounds_operands) {
  const float exact = 1.0f + 0x1p-12f, one = 1, zero = 0;
  const DeviceArray<float> a(std::vector<float>{exact}), b(std::vector<float>{1}), c(1);
  for (const bool tf32 : {false, true}) {
    cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, a.data(), CUDA_R_32F, 1, b.data(),
                 CUDA_R_32F, 1, &zero, c.data(), CUDA_R_32F, 1,
                 tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
    BOOST_TEST(c.values()[0] == (tf32 ? 1.0f : exact));
  }
}

BOOST_AUTO_TEST_CASE(unsupported_types_are_refused) {
  const float one = 1, zero = 0;
  const DeviceArray<float> a(1), c(1);
  BOOST_TEST(cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, a.data(), CUDA_R_32F, 1, a.data(),
                          CUDA_R_16BF, 1, &zero, c.data(), CUDA_R_32F, 1, CUBLAS_COMPUTE_32F,
                          CUBLAS_GEMM_DEFAULT) == CUBLAS_STATUS_NOT_SUPPORTED);
}

BOOST_AUTO_TEST_CASE(lt_product_with_bias) {
  cublasLtHandle_t lt = nullptr;
  cublasLtMatmulDesc_t description = nullptr;
  cublasLtMatrixLayout_t la = nullptr, lb = nullptr, lc = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  cublasLtCreate(&lt);
  cublasLtMatmulDescCreate(&description, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  const cublasOperation_t transpose = CUBLAS_OP_T;
  cublasLtMatmulDescSetAttribute(description, CUBLASLT_MATMUL_DESC_TRANSA, &transpose, sizeof transpose);
  cublasLtMatrixLayoutCreate(&la, CUDA_R_32F, kK, kM, kK);
  cublasLtMatrixLayoutCreate(&lb, CUDA_R_32F, kK, kN, kK);
  cublasLtMatrixLayoutCreate(&lc, CUDA_R_32F, kM, kN, kM);
  cublasLtMatmulPreferenceCreate(&preference);
  const std::uint64_t workspace_size = 1 << 20;
  cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_size,
                                       sizeof workspace_size);

  const auto a = numbers<float>(kM * kK, 1), b = numbers<float>(kK * kN, 2), c = numbers<float>(kM * kN, 3);
  const DeviceArray<float> da(a), db(b), dc(c), dd(c.size()), bias(numbers<float>(kM, 4));
  const DeviceArray<char> workspace(workspace_size);
  const float* bias_pointer = bias.data();
  const auto epilogue = CUBLASLT_EPILOGUE_BIAS;
  cublasLtMatmulDescSetAttribute(description, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
  cublasLtMatmulDescSetAttribute(description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias_pointer,
                                 sizeof bias_pointer);
  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  cublasLtMatmulAlgoGetHeuristic(lt, description, la, lb, lc, lc, preference, 1, &result, &found);
  BOOST_REQUIRE(found == 1);
  const float alpha = 1, beta = -2;
  const auto multiply = [&](std::size_t size) {
    return cublasLtMatmul(lt, description, &alpha, da.data(), la, db.data(), lb, &beta, dc.data(), lc,
                          dd.data(), lc, &result.algo, workspace.data(), size, nullptr);
  };
  cuda_emulation::reset_counters();
  BOOST_REQUIRE(multiply(workspace_size) == CUBLAS_STATUS_SUCCESS);
  const auto got = dd.values(), bias_values = bias.values();
  for (int j = 0; j < kN; ++j)
    for (int i = 0; i < kM; ++i) {
      const auto at = static_cast<std::size_t>(j * kM + i);
      float want = beta * c[at] + bias_values[static_cast<std::size_t>(i)];
      for (int p = 0; p < kK; ++p)
        want += a[static_cast<std::size_t>(i * kK + p)] * b[static_cast<std::size_t>(j * kK + p)];
      BOOST_REQUIRE_EQUAL(got[at], want);
    }
  const auto counters = cuda_emulation::kernel_counters();
  BOOST_TEST(counters[0].name == "gemm float32 TN 5x7x3");
  BOOST_TEST(counters[0].flops == 2.0 * kM * kN * kK);

  // An algorithm without its workspace, or for another shape, is refused.
  BOOST_TEST(multiply(0) == CUBLAS_STATUS_INVALID_VALUE);
  const std::uint64_t columns = kN - 1;
  cublasLtMatrixLayoutSetAttribute(lc, CUBLASLT_MATRIX_LAYOUT_COLS, &columns, sizeof columns);
  BOOST_TEST(multiply(workspace_size) == CUBLAS_STATUS_INVALID_VALUE);
  cublasLtMatmulPreferenceDestroy(preference);
  for (auto layout : {la, lb, lc}) cublasLtMatrixLayoutDestroy(layout);
  cublasLtMatmulDescDestroy(description);
  cublasLtDestroy(lt);
}

BOOST_AUTO_TEST_SUITE_END()
