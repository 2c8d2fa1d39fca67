#include <cublas_v2.h>

#include "gemm.hpp"
#include "memory.hpp"
#include "report.hpp"
#include "runtime.hpp"
#include "streams.hpp"

using namespace cuda_emulation;

struct cublasContext {
  cudaStream_t stream = nullptr;
  cublasMath_t math = CUBLAS_DEFAULT_MATH;
  cublasPointerMode_t pointers = CUBLAS_POINTER_MODE_HOST;
};

namespace {

Operand operand(const void* data, cudaDataType type, bool transposed, int rows, int columns, int leading,
                long long stride) {
  return {data, false, type, transposed ? columns : rows, transposed ? rows : columns, leading, stride};
}

cublasStatus_t gemm(const char* caller, cublasHandle_t handle, cublasOperation_t transpose_a,
                    cublasOperation_t transpose_b, const void* alpha, const void* beta, Operand a, Operand b,
                    Operand c, int batch, cublasComputeType_t compute) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!alpha || !beta) return CUBLAS_STATUS_INVALID_VALUE;
  const bool on_device = handle->pointers == CUBLAS_POINTER_MODE_DEVICE;
  Gemm product;
  product.caller = caller;
  product.transpose_a = transpose_a != CUBLAS_OP_N;
  product.transpose_b = transpose_b != CUBLAS_OP_N;
  product.tf32 =
      a.type == CUDA_R_32F && (compute == CUBLAS_COMPUTE_32F_FAST_TF32 ||
                               (compute == CUBLAS_COMPUTE_32F && handle->math == CUBLAS_TF32_TENSOR_OP_MATH));
  product.rounds_parts = !(handle->math & CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION);
  product.compute = compute;
  product.alpha = scale(alpha, compute, on_device);
  product.beta = scale(beta, compute, on_device);
  product.a = a;
  product.b = b;
  product.c = product.d = c;
  product.batch = batch;
  return submit(product, handle->stream);
}

}  // namespace

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  const RuntimeLock lock;
  *handle = nullptr;
  if (standing_error()) return CUBLAS_STATUS_NOT_INITIALIZED;
  *handle = new cublasContext;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetVersion_v2(cublasHandle_t, int* version) {
  *version = CUBLAS_VERSION;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  const RuntimeLock lock;
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!is_stream(stream)) return CUBLAS_STATUS_INVALID_VALUE;
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, std::size_t size) {
  const RuntimeLock lock;
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (size > 0 && !DeviceMemory::instance().valid(workspace, size)) {
    report("cublasSetWorkspace: %zu bytes at %p are not inside of one device allocation", size, workspace);
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t mode) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  handle->pointers = mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t) {
  return handle ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  handle->math = mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m,
                            int n, int k, const void* alpha, const void* A, cudaDataType Atype, int lda,
                            const void* B, cudaDataType Btype, int ldb, const void* beta, void* C,
                            cudaDataType Ctype, int ldc, cublasComputeType_t compute, cublasGemmAlgo_t) {
  const RuntimeLock lock;
  return gemm("cublasGemmEx", handle, transa, transb, alpha, beta,
              operand(A, Atype, transa != CUBLAS_OP_N, m, k, lda, 0),
              operand(B, Btype, transb != CUBLAS_OP_N, k, n, ldb, 0), operand(C, Ctype, false, m, n, ldc, 0),
              1, compute);
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t transa,
                                          cublasOperation_t transb, int m, int n, int k, const void* alpha,
                                          const void* A, cudaDataType Atype, int lda, long long int strideA,
                                          const void* B, cudaDataType Btype, int ldb, long long int strideB,
                                          const void* beta, void* C, cudaDataType Ctype, int ldc,
                                          long long int strideC, int batch, cublasComputeType_t compute,
                                          cublasGemmAlgo_t) {
  const RuntimeLock lock;
  return gemm("cublasGemmStridedBatchedEx", handle, transa, transb, alpha, beta,
              operand(A, Atype, transa != CUBLAS_OP_N, m, k, lda, strideA),
              operand(B, Btype, transb != CUBLAS_OP_N, k, n, ldb, strideB),
              operand(C, Ctype, false, m, n, ldc, strideC), batch, compute);
}

cublasStatus_t cublasGemmBatchedEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb,
                                   int m, int n, int k, const void* alpha, const void* const A[],
                                   cudaDataType Atype, int lda, const void* const B[], cudaDataType Btype,
                                   int ldb, const void* beta, void* const C[], cudaDataType Ctype, int ldc,
                                   int batch, cublasComputeType_t compute, cublasGemmAlgo_t) {
  const RuntimeLock lock;
  Operand a = operand(A, Atype, transa != CUBLAS_OP_N, m, k, lda, 0);
  Operand b = operand(B, Btype, transb != CUBLAS_OP_N, k, n, ldb, 0);
  Operand c = operand(C, Ctype, false, m, n, ldc, 0);
  a.pointers = b.pointers = c.pointers = true;
  return gemm("cublasGemmBatchedEx", handle, transa, transb, alpha, beta, a, b, c, batch, compute);
}

const char* cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH:
      return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_MAPPING_ERROR:
      return "CUBLAS_STATUS_MAPPING_ERROR";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    case CUBLAS_STATUS_LICENSE_ERROR:
      return "CUBLAS_STATUS_LICENSE_ERROR";
  }
  return "unknown status";
}

const char* cublasGetStatusString(cublasStatus_t status) {
  return cublasGetStatusName(status);
}

}  // extern "C"
