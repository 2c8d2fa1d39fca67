#pragma once
/// D = alpha op(A) op(B) + beta C + bias, as cuBLAS and cuBLASLt compute it, with checks that they do not
/// make.

#include <cublas_v2.h>

#include <cstdint>

namespace cuda_emulation {

/// Matrices of one operand, column-major: element (i, j) of matrix b is data[b * stride + j * leading + i].
struct Operand {
  const void* data = nullptr;
  bool pointers = false;  // data is an array, in device memory, of a pointer for each matrix
  cudaDataType type = CUDA_R_32F;
  std::int64_t rows = 0, columns = 0, leading = 0, stride = 0;
};

/// alpha or beta: a value, or where to find it in device memory when the product runs.
struct Scale {
  double value = 0;
  const void* on_device = nullptr;
};

struct Gemm {
  const char* caller = "";
  bool transpose_a = false, transpose_b = false;
  bool tf32 = false;          // operands lose 13 bits of their fractions
  bool rounds_parts = false;  // the sum of the first half is rounded to D's type, as cuBLAS may split a sum
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
  Scale alpha, beta;
  Operand a, b, c, d;
  int batch = 1;
  const void* bias = nullptr;  // one for every row of D
  cudaDataType bias_type = CUDA_R_32F;
};

/// Reads alpha or beta, of the type that `compute` scales with.
Scale scale(const void* pointer, cublasComputeType_t compute, bool on_device);

/// Reports what is wrong with shapes, types, leading dimensions and memory of the operands.
cublasStatus_t check(const Gemm& gemm);

/// Checks, and gives the product to the stream.
cublasStatus_t submit(const Gemm& gemm, cudaStream_t stream);

/// What a CUDA error is as a status.
cublasStatus_t status_of(cudaError_t error);

std::int64_t size_of(cudaDataType type);

}  // namespace cuda_emulation
