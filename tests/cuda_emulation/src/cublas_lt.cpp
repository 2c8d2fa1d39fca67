#include <cublasLt.h>

#include <cstring>

#include "gemm.hpp"
#include "memory.hpp"
#include "report.hpp"
#include "runtime.hpp"

using namespace cuda_emulation;

namespace {

struct Layout {
  cudaDataType type;
  std::int32_t order;
  std::uint64_t rows, columns;
  std::int64_t leading;
  std::int32_t batch;
  std::int64_t stride;
};
struct Description {
  cublasComputeType_t compute;
  std::int32_t pointers, transpose_a, transpose_b;
  std::uint32_t epilogue;
  const void* bias;
  std::int32_t bias_type;  // -1: as D
};
struct Preference {
  std::uint64_t workspace;
  std::uint32_t reductions;
};
// What the heuristic chose, and what for: an algorithm for another product is refused.
struct Algorithm {
  std::int64_t m, n, k;
  std::uint64_t workspace, reductions;
  std::int32_t type, transposes;
};
// A device's algorithms ask for workspace; so does this one, where the preference allows it.
constexpr std::uint64_t kWorkspace = 1 << 20;

template <class To, class From>
To& as(From* object) {
  static_assert(sizeof(To) <= sizeof(From));
  return *reinterpret_cast<To*>(object);
}

template <class T>
cublasStatus_t set(T& attribute, const void* value, std::size_t size) {
  if (!value || size != sizeof(T)) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&attribute, value, size);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t unknown_attribute(const char* function, int attribute) {
  report("%s: attribute %d is not emulated", function, attribute);
  return CUBLAS_STATUS_NOT_SUPPORTED;
}

Operand operand(const void* data, const Layout& layout) {
  return {data,
          false,
          layout.type,
          static_cast<std::int64_t>(layout.rows),
          static_cast<std::int64_t>(layout.columns),
          layout.leading,
          layout.stride};
}

Algorithm algorithm_for(const Description& description, const Layout& a, const Layout& d,
                        std::uint64_t workspace, std::uint64_t reductions) {
  return {static_cast<std::int64_t>(d.rows),
          static_cast<std::int64_t>(d.columns),
          static_cast<std::int64_t>(description.transpose_a ? a.rows : a.columns),
          workspace,
          reductions,
          a.type,
          description.transpose_a * 4 + description.transpose_b};
}

}  // namespace

struct cublasLtContext {};

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  const RuntimeLock lock;
  *handle = nullptr;
  if (standing_error()) return CUBLAS_STATUS_NOT_INITIALIZED;
  *handle = new cublasLtContext;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

std::size_t cublasLtGetVersion(void) {
  return CUBLAS_VERSION;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type,
                                          std::uint64_t rows, std::uint64_t columns, std::int64_t leading) {
  *layout = new cublasLtMatrixLayoutOpaque_t{};
  as<Layout>(*layout) = {type, CUBLASLT_ORDER_COL, rows, columns, leading, 1, 0};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete layout;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute, const void* value,
                                                std::size_t size) {
  auto& self = as<Layout>(layout);
  switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_ROWS:
      return set(self.rows, value, size);
    case CUBLASLT_MATRIX_LAYOUT_COLS:
      return set(self.columns, value, size);
    case CUBLASLT_MATRIX_LAYOUT_LD:
      return set(self.leading, value, size);
    case CUBLASLT_MATRIX_LAYOUT_ORDER:
      return set(self.order, value, size);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
      return set(self.batch, value, size);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
      return set(self.stride, value, size);
    default:
      return unknown_attribute("cublasLtMatrixLayoutSetAttribute", attribute);
  }
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* description, cublasComputeType_t compute,
                                        cudaDataType_t scale_type) {
  const bool wide = compute == CUBLAS_COMPUTE_64F || compute == CUBLAS_COMPUTE_64F_PEDANTIC;
  if (scale_type != (wide ? CUDA_R_64F : CUDA_R_32F)) {
    report("cublasLtMatmulDescCreate: compute type %d scales with another type", static_cast<int>(compute));
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  *description = new cublasLtMatmulDescOpaque_t{};
  as<Description>(*description) = {
      compute, CUBLASLT_POINTER_MODE_HOST, 0, 0, CUBLASLT_EPILOGUE_DEFAULT, nullptr, -1};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description) {
  delete description;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t description,
                                              cublasLtMatmulDescAttributes_t attribute, const void* value,
                                              std::size_t size) {
  auto& self = as<Description>(description);
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return set(self.transpose_a, value, size);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return set(self.transpose_b, value, size);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return set(self.epilogue, value, size);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return set(self.bias, value, size);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
      return set(self.bias_type, value, size);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE:
      return set(self.pointers, value, size);
    default:
      return unknown_attribute("cublasLtMatmulDescSetAttribute", attribute);
  }
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = new cublasLtMatmulPreferenceOpaque_t{};
  as<Preference>(*preference).reductions = CUBLASLT_REDUCTION_SCHEME_MASK;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, std::size_t size) {
  std::uint32_t ignored = 0;
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return set(as<Preference>(preference).workspace, value, size);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return set(as<Preference>(preference).reductions, value, size);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return set(ignored, value, size);
    default:
      return unknown_attribute("cublasLtMatmulPreferenceSetAttribute", attribute);
  }
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t description,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t results[], int* returned) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (requested < 1) return CUBLAS_STATUS_INVALID_VALUE;
  // cuBLASLt need not have an algorithm that adds a bias to products in double: this one has none.
  if (as<Layout>(d).type == CUDA_R_64F &&
      as<Description>(description).epilogue != CUBLASLT_EPILOGUE_DEFAULT) {
    *returned = 0;
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  const std::uint64_t workspace = std::min(kWorkspace, as<Preference>(preference).workspace);
  results[0] = {};
  as<Algorithm>(&results[0].algo) = algorithm_for(as<Description>(description), as<Layout>(a), as<Layout>(d),
                                                  workspace, as<Preference>(preference).reductions);
  results[0].workspaceSize = workspace;
  results[0].state = CUBLAS_STATUS_SUCCESS;
  results[0].wavesCount = 1;
  *returned = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t compute_description,
                              const void* alpha, const void* A, cublasLtMatrixLayout_t a, const void* B,
                              cublasLtMatrixLayout_t b, const void* beta, const void* C,
                              cublasLtMatrixLayout_t c, void* D, cublasLtMatrixLayout_t d,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace,
                              std::size_t workspace_size, cudaStream_t stream) {
  const RuntimeLock lock;
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  const auto& description = as<Description>(compute_description);
  const auto &layout_a = as<Layout>(a), &layout_b = as<Layout>(b), &layout_c = as<Layout>(c),
             &layout_d = as<Layout>(d);
  for (const Layout* layout : {&layout_a, &layout_b, &layout_c, &layout_d})
    if (layout->order != CUBLASLT_ORDER_COL || layout->batch != layout_d.batch) {
      report("cublasLtMatmul: a layout is row-major (not emulated) or has another batch count than D");
      return CUBLAS_STATUS_NOT_SUPPORTED;
    }
  if (description.epilogue & ~std::uint32_t{CUBLASLT_EPILOGUE_DEFAULT | CUBLASLT_EPILOGUE_BIAS}) {
    report("cublasLtMatmul: epilogue %u is not emulated", description.epilogue);
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  if (workspace_size > 0 && !DeviceMemory::instance().valid(workspace, workspace_size)) {
    report("cublasLtMatmul: the workspace, %zu bytes at %p, is not inside of one device allocation",
           workspace_size, workspace);
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (algorithm) {
    const auto chosen = as<const Algorithm>(algorithm);
    const Algorithm wanted =
        algorithm_for(description, layout_a, layout_d, chosen.workspace, chosen.reductions);
    if (std::memcmp(&chosen, &wanted, sizeof wanted) != 0 || workspace_size < chosen.workspace) {
      report(
          "cublasLtMatmul: the algorithm was chosen for another product (%lld x %lld x %lld), or has %zu of "
          "%llu "
          "bytes of workspace",
          static_cast<long long>(chosen.m), static_cast<long long>(chosen.n),
          static_cast<long long>(chosen.k), workspace_size,
          static_cast<unsigned long long>(chosen.workspace));
      return CUBLAS_STATUS_INVALID_VALUE;
    }
  }
  // Without an algorithm cuBLASLt takes one by the default preferences.
  const std::uint64_t reductions =
      algorithm ? as<const Algorithm>(algorithm).reductions : std::uint64_t{CUBLASLT_REDUCTION_SCHEME_MASK};
  const bool on_device = description.pointers == CUBLASLT_POINTER_MODE_DEVICE;
  Gemm product;
  product.caller = "cublasLtMatmul";
  product.transpose_a = description.transpose_a != CUBLAS_OP_N;
  product.transpose_b = description.transpose_b != CUBLAS_OP_N;
  product.tf32 = layout_a.type == CUDA_R_32F && description.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  product.rounds_parts =
      reductions & (CUBLASLT_REDUCTION_SCHEME_INPLACE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE);
  product.compute = description.compute;
  product.alpha = scale(alpha, description.compute, on_device);
  product.beta = scale(beta, description.compute, on_device);
  product.a = operand(A, layout_a);
  product.b = operand(B, layout_b);
  product.c = operand(C, layout_c);
  product.d = operand(D, layout_d);
  product.batch = layout_d.batch;
  if (description.epilogue & CUBLASLT_EPILOGUE_BIAS) {
    product.bias = description.bias;
    product.bias_type =
        description.bias_type < 0 ? layout_d.type : static_cast<cudaDataType>(description.bias_type);
  }
  return submit(product, stream);
}

}  // extern "C"
