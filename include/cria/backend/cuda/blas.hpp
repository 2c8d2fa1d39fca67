#pragma once
/// Matrix products by cuBLASLt, and by cuBLAS where there are many of a kind.

#include <cublasLt.h>
#include <cublas_v2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>

#include "cria/backend/cuda/cuda.hpp"
#include "cria/core/dtype.hpp"
#include "cria/core/operand.hpp"

namespace cria::cuda {

inline void check(const char* call, cublasStatus_t status, Place place = {}) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  check(call, cudaGetLastError(), place);  // what CUDA says, if cuBLAS failed for an error of CUDA's
  throw BackendError(std::string("cuda: ") + call + " at " + to_string(place) +
                     " failed: " + cublasGetStatusString(status));
}

namespace detail {
CRIA_SHARED inline bool tf32 = true;

template <class T>
inline constexpr cudaDataType_t cuda_type = CUDA_R_32F;
template <>
inline constexpr cudaDataType_t cuda_type<double> = CUDA_R_64F;
template <>
inline constexpr cudaDataType_t cuda_type<bfloat16> = CUDA_R_16BF;
template <>
inline constexpr cudaDataType_t cuda_type<float16> = CUDA_R_16F;

/// How products of T are summed.
template <class T>
cublasComputeType_t compute_type() {
  if constexpr (std::is_same_v<T, double>) return CUBLAS_COMPUTE_64F;
  if (std::is_same_v<T, float> && tf32) return CUBLAS_COMPUTE_32F_FAST_TF32;
  return CUBLAS_COMPUTE_32F;
}

inline cublasOperation_t operation(bool is_transposed) {
  return is_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
}
}  // namespace detail

/// Whether tensor cores may round float32 operands of products to TF32 (10 bits of fraction) first, which is
/// several times as fast. On unless it is turned off.
inline bool tf32_is_allowed() {
  return detail::tf32;
}
inline void allow_tf32(bool allowed) {
  detail::tf32 = allowed;
}

/// c[i] = row for all i: as many rows at a time as are there already.
template <class C>
void repeat(Vec<const C> row, Rows<C> c) {
  const auto bytes = [&](std::int64_t rows) { return static_cast<std::size_t>(rows * c.cols) * sizeof(C); };
  Cuda::copy(c.data, row.data, bytes(1));
  for (std::int64_t done = 1; done < c.rows; done *= 2) {
    Cuda::copy(c.row(done), c.data, bytes(std::min(done, c.rows - done)));
  }
}

/// cuBLAS's and cuBLASLt's state for one stream, with a workspace of its own: without one, cuBLAS may compute
/// in an order that depends on what other streams do.
class Blas {
 public:
  static constexpr std::size_t workspace_bytes = std::size_t{32} << 20;

  /// Of this thread's stream. Never destroyed, since the driver may be gone when static objects are.
  CRIA_SHARED static Blas& of_stream() {
    static auto* instances = new std::map<cudaStream_t, std::unique_ptr<Blas>>;
    static auto* mutex = new std::mutex;
    const std::lock_guard lock(*mutex);
    auto& instance = (*instances)[stream()];
    if (!instance) instance.reset(new Blas);
    return *instance;
  }

  /// The handle of cuBLAS, for use on this stream.
  cublasHandle_t handle() const { return handle_; }

  /// c = a b + bias, where there is one, for each row of c; or c += a b if `accumulate`.
  template <class T, class C>
  void gemm(Operand<T> a, Operand<T> b, bool accumulate, Vec<const C> bias, Rows<C> c) {
    using A = acc_t<T>;
    // cuBLAS has columns where cria has rows, so to it each matrix is transposed: c^T = b^T a^T.
    const Key key{c.cols,
                  c.rows,
                  a.cols(),
                  b.is_transposed,
                  a.is_transposed,
                  detail::cuda_type<T>,
                  detail::cuda_type<C>,
                  detail::compute_type<T>(),
                  alignment(b.matrix.data),
                  alignment(a.matrix.data),
                  alignment(c.data),
                  static_cast<bool>(bias)};
    const std::lock_guard lock(mutex_);
    auto found = plans_.find(key);
    if (found == plans_.end()) {
      found = plans_.emplace(key, std::make_unique<Plan>(light_handle_, key, detail::cuda_type<A>)).first;
    }
    Plan& plan = *found->second;
    if (bias && !plan.algorithm) {  // what no algorithm adds at once is there before
      repeat(bias, c);
      accumulate = true;
    }
    const A one = 1, beta = accumulate ? A(1) : A(0);
    if (plan.algorithm) {
      if (bias) plan.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias.data);
      check("cublasLtMatmul",
            cublasLtMatmul(light_handle_, plan.description, &one, b.matrix.data, plan.layout_a, a.matrix.data,
                           plan.layout_b, &beta, c.data, plan.layout_c, c.data, plan.layout_c,
                           &*plan.algorithm, workspace_, workspace_bytes, stream()));
    } else {  // no algorithm for this shape or these places: cuBLAS has one for all
      check("cublasGemmEx",
            cublasGemmEx(handle_, detail::operation(b.is_transposed), detail::operation(a.is_transposed),
                         static_cast<int>(c.cols), static_cast<int>(c.rows), static_cast<int>(a.cols()), &one,
                         b.matrix.data, detail::cuda_type<T>, static_cast<int>(b.matrix.cols), a.matrix.data,
                         detail::cuda_type<T>, static_cast<int>(a.matrix.cols), &beta, c.data,
                         detail::cuda_type<C>, static_cast<int>(c.cols), detail::compute_type<T>(),
                         CUBLAS_GEMM_DEFAULT));
    }
  }

 private:
  /// All that an algorithm is chosen by: sizes m, n, k, transpositions, types, alignments of a, b and c, and
  /// whether there is a bias.
  using Key = std::array<std::int64_t, 12>;

  /// A product as cuBLASLt wants it described, and the algorithm that its heuristics name first.
  struct Plan {
    cublasLtMatmulDesc_t description = nullptr;
    cublasLtMatrixLayout_t layout_a = nullptr, layout_b = nullptr, layout_c = nullptr;
    std::optional<cublasLtMatmulAlgo_t> algorithm;

    Plan(cublasLtHandle_t handle, const Key& key, cudaDataType_t scale_type) {
      const auto [m, n, k, transposed_a, transposed_b, type, type_c, compute, align_a, align_b, align_c,
                  has_bias] = key;
      check("cublasLtMatmulDescCreate",
            cublasLtMatmulDescCreate(&description, static_cast<cublasComputeType_t>(compute), scale_type));
      set(CUBLASLT_MATMUL_DESC_TRANSA, detail::operation(transposed_a != 0));
      set(CUBLASLT_MATMUL_DESC_TRANSB, detail::operation(transposed_b != 0));
      if (has_bias) set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      layout_a = layout(type, transposed_a ? k : m, transposed_a ? m : k);
      layout_b = layout(type, transposed_b ? n : k, transposed_b ? k : n);
      layout_c = layout(type_c, m, n);
      cublasLtMatmulPreference_t preference = nullptr;
      check("cublasLtMatmulPreferenceCreate", cublasLtMatmulPreferenceCreate(&preference));
      const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
        check("cublasLtMatmulPreferenceSetAttribute",
              cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)));
      };
      prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes);
      prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, static_cast<std::uint32_t>(align_a));
      prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, static_cast<std::uint32_t>(align_b));
      prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, static_cast<std::uint32_t>(align_c));
      prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, static_cast<std::uint32_t>(align_c));
      // Parts of a sum that are computed beside each other stay float until they are put together.
      prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
             static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
      cublasLtMatmulHeuristicResult_t result{};
      int count = 0;
      const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
          handle, description, layout_a, layout_b, layout_c, layout_c, preference, 1, &result, &count);
      if (status != CUBLAS_STATUS_NOT_SUPPORTED) check("cublasLtMatmulAlgoGetHeuristic", status);
      if (status == CUBLAS_STATUS_SUCCESS && count > 0 && result.state == CUBLAS_STATUS_SUCCESS) {
        algorithm = result.algo;
      }
      check("cublasLtMatmulPreferenceDestroy", cublasLtMatmulPreferenceDestroy(preference));
    }

    template <class V>
    void set(cublasLtMatmulDescAttributes_t attribute, V value) {
      check("cublasLtMatmulDescSetAttribute",
            cublasLtMatmulDescSetAttribute(description, attribute, &value, sizeof(value)));
    }
    static cublasLtMatrixLayout_t layout(std::int64_t type, std::int64_t rows, std::int64_t cols) {
      cublasLtMatrixLayout_t layout = nullptr;
      check("cublasLtMatrixLayoutCreate",
            cublasLtMatrixLayoutCreate(&layout, static_cast<cudaDataType_t>(type),
                                       static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(cols),
                                       rows));
      return layout;
    }
  };

  Blas() : workspace_(allocator().allocate(workspace_bytes)) {
    check("cublasLtCreate", cublasLtCreate(&light_handle_));
    check("cublasCreate", cublasCreate(&handle_));
    check("cublasSetStream", cublasSetStream(handle_, stream()));
    // As CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE.
    check("cublasSetMathMode", cublasSetMathMode(handle_, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION));
    check("cublasSetWorkspace", cublasSetWorkspace(handle_, workspace_, workspace_bytes));
  }

  /// The largest power of two up to 256 that the address is a multiple of.
  static std::int64_t alignment(const void* data) {
    const auto address = reinterpret_cast<std::uintptr_t>(data);
    return static_cast<std::int64_t>(std::min<std::uintptr_t>(256, address & (~address + 1)));
  }

  cublasLtHandle_t light_handle_ = nullptr;
  cublasHandle_t handle_ = nullptr;
  void* workspace_;
  std::mutex mutex_;
  std::map<Key, std::unique_ptr<Plan>> plans_;  // for ever: a training run has few shapes
};

/// c = a b, or c += a b if `accumulate`; products are summed in acc_t<T>.
template <class T, class C>
void gemm(Operand<T> a, Operand<T> b, bool accumulate, Rows<C> c) {
  if (c.rows == 0 || c.cols == 0) return;
  if (a.cols() > 0) return Blas::of_stream().gemm(a, b, accumulate, {}, c);
  if (!accumulate) Cuda::fill_zero(c.data, static_cast<std::size_t>(c.rows * c.cols) * sizeof(C));
}

/// c = a b + bias for each row of c, if there is a bias.
template <class T, class C>
void gemm(Operand<T> a, Operand<T> b, Vec<const C> bias, Rows<C> c) {
  if (!bias) return gemm(a, b, false, c);
  if (c.rows == 0) return;
  if (a.cols() > 0) return Blas::of_stream().gemm(a, b, false, bias, c);
  repeat(bias, c);
}

/// c = a^T b, or c += a^T b if `accumulate`, for a [rows, m], b [rows, n] and c [m, n]: a gradient of
/// weights. Libraries may add up all rows in one float, so they get millions of them in parts.
template <class T>
void gemm_over_rows(Rows<const T> a, Rows<const T> b, bool accumulate, Rows<acc_t<T>> c) {
  // One float sum of so many is good to three digits and a half at worst, added one by one; of a quarter as many
  // to four, but an H200 takes 1.7 times as long for them.
  constexpr std::int64_t part = 32768;
  if (a.rows == 0) return gemm(transposed(a), plain(b), accumulate, c);
  for (std::int64_t first = 0; first < a.rows; first += part) {
    const std::int64_t rows = std::min(part, a.rows - first);
    gemm(transposed(a.slice(first, rows)), plain(b.slice(first, rows)), accumulate || first > 0, c);
  }
}

/// c[i] = a[i] b[i] for all planes, or c[i] += a[i] b[i] unless c is fresh, a and b transposed on request.
template <class T>
void batched_gemm(Planes<const T> a, bool transpose_a, Planes<const T> b, bool transpose_b,
                  Gradient<Planes<T>> c) {
  using A = acc_t<T>;
  const std::int64_t k = transpose_a ? a.middle : a.inner;
  if (c.outer * c.middle * c.inner == 0) return;
  if (k == 0) {
    if (c.fresh) {
      Cuda::fill_zero(c.data, static_cast<std::size_t>(c.outer * c.middle * c.inner) * sizeof(T));
    }
    return;
  }
  const A one = 1, beta = c.fresh ? A(0) : A(1);
  constexpr auto type = detail::cuda_type<T>;
  check("cublasGemmStridedBatchedEx",
        cublasGemmStridedBatchedEx(
            Blas::of_stream().handle(), detail::operation(transpose_b), detail::operation(transpose_a),
            static_cast<int>(c.inner), static_cast<int>(c.middle), static_cast<int>(k), &one, b.data, type,
            static_cast<int>(b.inner), b.middle * b.inner, a.data, type, static_cast<int>(a.inner),
            a.middle * a.inner, &beta, c.data, type, static_cast<int>(c.inner), c.middle * c.inner,
            static_cast<int>(c.outer), detail::compute_type<T>(), CUBLAS_GEMM_DEFAULT));
}

}  // namespace cria::cuda
