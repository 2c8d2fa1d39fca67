#include "gemm.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "counters.hpp"
#include "cria/core/dtype.hpp"
#include "memory.hpp"
#include "observer.hpp"
#include "report.hpp"
#include "runtime.hpp"
#include "streams.hpp"

namespace cuda_emulation {
namespace {

const char* name_of(cudaDataType type) {
  switch (type) {
    case CUDA_R_32F:
      return "float32";
    case CUDA_R_64F:
      return "float64";
    case CUDA_R_16F:
      return "float16";
    case CUDA_R_16BF:
      return "bfloat16";
    default:
      return "an unknown type";
  }
}

// Elements from the first to the last of one matrix.
std::int64_t extent(const Operand& x) {
  return x.rows == 0 || x.columns == 0 ? 0 : (x.columns - 1) * x.leading + x.rows;
}

const char* matrix(const Operand& x, int index) {
  if (x.pointers) return static_cast<const char* const*>(x.data)[index];
  return static_cast<const char*>(x.data) + index * x.stride * size_of(x.type);
}

bool check_memory(const Gemm& gemm, const char* name, const void* data, std::int64_t bytes) {
  if (bytes == 0) return true;
  const auto& memory = DeviceMemory::instance();
  const char* problem = !data                                                  ? "is null"
                        : !memory.contains(data)                               ? "is host memory"
                        : !memory.valid(data, static_cast<std::size_t>(bytes)) ? "exceeds its allocation"
                                                                               : nullptr;
  if (!problem) return true;
  report("%s: %s, %lld bytes at %p, %s (D is %lld x %lld)", gemm.caller, name, static_cast<long long>(bytes),
         data, problem, static_cast<long long>(gemm.d.rows), static_cast<long long>(gemm.d.columns));
  return false;
}

bool check_operand_memory(const Gemm& gemm, const char* name, const Operand& x) {
  if (x.pointers) {
    const auto bytes = gemm.batch * static_cast<std::int64_t>(sizeof(void*));
    if (!check_memory(gemm, name, x.data, bytes)) return false;
    const DeviceMemory::Access access;
    if (observer) observer->library_reads(x.data, static_cast<std::size_t>(bytes), gemm.caller);
    for (int i = 0; i < gemm.batch; ++i)
      if (!check_memory(gemm, name, matrix(x, i), extent(x) * size_of(x.type))) return false;
    return true;
  }
  return check_memory(gemm, name, x.data, ((gemm.batch - 1) * x.stride + extent(x)) * size_of(x.type));
}

// beta = 0 means that C is not read.
bool reads_c(const Gemm& gemm) {
  return gemm.beta.on_device || gemm.beta.value != 0;
}
std::int64_t inner(const Gemm& gemm) {
  return gemm.transpose_a ? gemm.a.rows : gemm.a.columns;
}

bool check_all_memory(const Gemm& gemm) {
  if (gemm.batch == 0 || gemm.d.rows == 0 || gemm.d.columns == 0) return true;
  return check_operand_memory(gemm, "A", gemm.a) && check_operand_memory(gemm, "B", gemm.b) &&
         (!reads_c(gemm) || check_operand_memory(gemm, "C", gemm.c)) &&
         check_operand_memory(gemm, "D", gemm.d) &&
         (!gemm.bias || check_memory(gemm, "the bias", gemm.bias, gemm.d.rows * size_of(gemm.bias_type)));
}

float tf32(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return std::isfinite(x) ? std::bit_cast<float>((bits + 0x1000u) & ~0x1FFFu) : x;
}

double load(const void* data, std::int64_t index, cudaDataType type) {
  switch (type) {
    case CUDA_R_32F:
      return static_cast<double>(static_cast<const float*>(data)[index]);
    case CUDA_R_64F:
      return static_cast<const double*>(data)[index];
    case CUDA_R_16F:
      return static_cast<double>(static_cast<float>(static_cast<const cria::float16*>(data)[index]));
    default:
      return static_cast<double>(static_cast<float>(static_cast<const cria::bfloat16*>(data)[index]));
  }
}

void store(void* data, std::int64_t index, cudaDataType type, double value) {
  switch (type) {
    case CUDA_R_32F:
      static_cast<float*>(data)[index] = static_cast<float>(value);
      break;
    case CUDA_R_64F:
      static_cast<double*>(data)[index] = value;
      break;
    case CUDA_R_16F:
      static_cast<cria::float16*>(data)[index] = cria::float16(static_cast<float>(value));
      break;
    default:
      static_cast<cria::bfloat16*>(data)[index] = cria::bfloat16(static_cast<float>(value));
  }
}

template <class T>
T rounded(T value, cudaDataType type) {
  double memory = 0;
  store(&memory, 0, type, static_cast<double>(value));
  return static_cast<T>(load(&memory, 0, type));
}

// op(x) [rows, columns] row-major.
template <class T>
std::vector<T> unpack(const Operand& x, const char* data, bool transpose, bool round) {
  const std::int64_t rows = transpose ? x.columns : x.rows, columns = transpose ? x.rows : x.columns;
  std::vector<T> result(static_cast<std::size_t>(rows * columns));
  for (std::int64_t j = 0; j < x.columns; ++j)
    for (std::int64_t i = 0; i < x.rows; ++i) {
      auto value = static_cast<T>(load(data, j * x.leading + i, x.type));
      if constexpr (std::is_same_v<T, float>)
        if (round) value = tf32(value);
      result[static_cast<std::size_t>(transpose ? j * columns + i : i * columns + j)] = value;
    }
  return result;
}

template <class T>
void multiply(const Gemm& gemm, int index, T alpha, T beta) {
  const std::int64_t m = gemm.d.rows, n = gemm.d.columns, k = inner(gemm);
  const auto a = unpack<T>(gemm.a, matrix(gemm.a, index), gemm.transpose_a, gemm.tf32);  // [m, k]
  const auto b = unpack<T>(gemm.b, matrix(gemm.b, index), gemm.transpose_b, gemm.tf32);  // [k, n]
  const char* const c = reads_c(gemm) ? matrix(gemm.c, index) : nullptr;
  char* const d = const_cast<char*>(matrix(gemm.d, index));
  std::vector<T> sums(static_cast<std::size_t>(4 * n));
  for (std::int64_t i = 0; i < m; i += 4) {
    const std::int64_t rows = std::min<std::int64_t>(4, m - i);
    std::fill(sums.begin(), sums.end(), T(0));
    for (std::int64_t p = 0; p < k; ++p) {
      if (gemm.rounds_parts && p == (k + 1) / 2)
        for (T& sum : sums) sum = rounded(sum, gemm.d.type);
      const T* const bp = b.data() + p * n;
      for (std::int64_t r = 0; r < rows; ++r) {
        const T factor = a[static_cast<std::size_t>((i + r) * k + p)];
        T* const sum = sums.data() + r * n;
        for (std::int64_t j = 0; j < n; ++j) sum[j] += factor * bp[j];
      }
    }
    for (std::int64_t r = 0; r < rows; ++r) {
      const T bias = gemm.bias ? static_cast<T>(load(gemm.bias, i + r, gemm.bias_type)) : T(0);
      for (std::int64_t j = 0; j < n; ++j) {
        T value = alpha * sums[static_cast<std::size_t>(r * n + j)] + bias;
        if (c && beta != T(0))
          value += beta * static_cast<T>(load(c, j * gemm.c.leading + i + r, gemm.c.type));
        store(d, j * gemm.d.leading + i + r, gemm.d.type, static_cast<double>(value));
      }
    }
  }
}

template <class Visit>
void for_each_column(const Gemm& gemm, const Operand& x, Visit visit) {
  for (int i = 0; i < gemm.batch; ++i)
    for (std::int64_t j = 0; j < x.columns; ++j)
      visit(matrix(x, i) + j * x.leading * size_of(x.type),
            static_cast<std::size_t>(x.rows * size_of(x.type)));
}

void observe_reads(const Gemm& gemm) {
  const auto read = [&](const char* data, std::size_t size) {
    observer->library_reads(data, size, gemm.caller);
  };
  for_each_column(gemm, gemm.a, read);
  for_each_column(gemm, gemm.b, read);
  if (reads_c(gemm)) for_each_column(gemm, gemm.c, read);
  if (gemm.bias)
    read(static_cast<const char*>(gemm.bias),
         static_cast<std::size_t>(gemm.d.rows * size_of(gemm.bias_type)));
}

void count(const Gemm& gemm) {
  const std::int64_t m = gemm.d.rows, n = gemm.d.columns, k = inner(gemm);
  std::string name = std::string("gemm ") + (gemm.tf32 ? "tf32" : name_of(gemm.a.type)) +
                     (gemm.transpose_a ? " T" : " N") + (gemm.transpose_b ? "T " : "N ") + std::to_string(m) +
                     "x" + std::to_string(n) + "x" + std::to_string(k);
  if (gemm.batch > 1) name += " of " + std::to_string(gemm.batch);
  KernelCounters& counters = counters_of(name);
  ++counters.launches;
  counters.flops +=
      2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) * gemm.batch;
  const auto batch = static_cast<std::int64_t>(gemm.batch);
  const std::int64_t output = m * n * batch;
  counters.bytes_read +=
      static_cast<std::uint64_t>(batch * (m * k * size_of(gemm.a.type) + k * n * size_of(gemm.b.type)) +
                                 (reads_c(gemm) ? output * size_of(gemm.c.type) : 0));
  counters.bytes_written += static_cast<std::uint64_t>(output * size_of(gemm.d.type));
}

double value_of(const Scale& scale, bool wide) {
  return scale.on_device ? load(scale.on_device, 0, wide ? CUDA_R_64F : CUDA_R_32F) : scale.value;
}

void run(const Gemm& gemm) {
  if (!check_all_memory(gemm)) return fail_for_good();
  const DeviceMemory::Access access;
  if (observer) observe_reads(gemm);
  const bool wide = gemm.a.type == CUDA_R_64F;
  const double alpha = value_of(gemm.alpha, wide), beta = value_of(gemm.beta, wide);
  for (int i = 0; i < gemm.batch; ++i) {
    if (wide)
      multiply<double>(gemm, i, alpha, beta);
    else
      multiply<float>(gemm, i, static_cast<float>(alpha), static_cast<float>(beta));
  }
  if (observer)
    for_each_column(gemm, gemm.d,
                    [](const char* data, std::size_t size) { observer->library_writes(data, size); });
  count(gemm);
}

}  // namespace

std::int64_t size_of(cudaDataType type) {
  switch (type) {
    case CUDA_R_64F:
      return 8;
    case CUDA_R_32F:
      return 4;
    case CUDA_R_16F:
    case CUDA_R_16BF:
      return 2;
    default:
      return 0;
  }
}

Scale scale(const void* pointer, cublasComputeType_t compute, bool on_device) {
  if (!pointer) return {};
  if (on_device) return {0, pointer};
  if (compute == CUBLAS_COMPUTE_64F || compute == CUBLAS_COMPUTE_64F_PEDANTIC)
    return {*static_cast<const double*>(pointer), nullptr};
  return {static_cast<double>(*static_cast<const float*>(pointer)), nullptr};
}

cublasStatus_t check(const Gemm& gemm) {
  const bool wide = gemm.compute == CUBLAS_COMPUTE_64F || gemm.compute == CUBLAS_COMPUTE_64F_PEDANTIC;
  const bool narrow = gemm.compute == CUBLAS_COMPUTE_32F || gemm.compute == CUBLAS_COMPUTE_32F_PEDANTIC ||
                      gemm.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  const bool types =
      gemm.a.type == gemm.b.type && gemm.c.type == gemm.d.type && size_of(gemm.a.type) != 0 &&
      (gemm.d.type == gemm.a.type || (gemm.d.type == CUDA_R_32F && size_of(gemm.a.type) == 2)) &&
      (wide ? gemm.a.type == CUDA_R_64F : narrow && gemm.a.type != CUDA_R_64F);
  if (!types) {
    report("%s: A %s, B %s, C %s with compute type %d is not supported", gemm.caller, name_of(gemm.a.type),
           name_of(gemm.b.type), name_of(gemm.d.type), static_cast<int>(gemm.compute));
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  const std::int64_t k = inner(gemm);
  const Operand &a = gemm.a, &b = gemm.b, &d = gemm.d;
  if (d.rows < 0 || d.columns < 0 || k < 0 || gemm.batch < 0 ||
      (gemm.transpose_a ? a.columns : a.rows) != d.rows || (gemm.transpose_b ? b.columns : b.rows) != k ||
      (gemm.transpose_b ? b.rows : b.columns) != d.columns || gemm.c.rows != d.rows ||
      gemm.c.columns != d.columns) {
    report("%s: shapes disagree: A is %lld x %lld%s, B is %lld x %lld%s, D is %lld x %lld", gemm.caller,
           static_cast<long long>(a.rows), static_cast<long long>(a.columns),
           gemm.transpose_a ? " (transposed)" : "", static_cast<long long>(b.rows),
           static_cast<long long>(b.columns), gemm.transpose_b ? " (transposed)" : "",
           static_cast<long long>(d.rows), static_cast<long long>(d.columns));
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  for (const auto& [name, x] : {std::pair{"A", a}, {"B", b}, {"C", gemm.c}, {"D", d}})
    if (x.leading < std::max<std::int64_t>(1, x.rows)) {
      report("%s: the leading dimension of %s is %lld, less than its %lld rows", gemm.caller, name,
             static_cast<long long>(x.leading), static_cast<long long>(x.rows));
      return CUBLAS_STATUS_INVALID_VALUE;
    }
  return check_all_memory(gemm) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

cublasStatus_t status_of(cudaError_t error) {
  return error == cudaSuccess                      ? CUBLAS_STATUS_SUCCESS
         : error == cudaErrorInvalidResourceHandle ? CUBLAS_STATUS_INVALID_VALUE
                                                   : CUBLAS_STATUS_EXECUTION_FAILED;
}

cublasStatus_t submit(const Gemm& gemm, cudaStream_t stream) {
  if (const cublasStatus_t status = check(gemm)) return status;
  if (gemm.batch == 0 || gemm.d.rows == 0 || gemm.d.columns == 0) return CUBLAS_STATUS_SUCCESS;
  return status_of(remember(submit(stream, [gemm] { run(gemm); })));
}

}  // namespace cuda_emulation
