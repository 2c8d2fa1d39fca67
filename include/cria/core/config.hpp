#pragma once
/// What is decided when compiling: where code can run, and which backend user code gets by default.
///
/// CRIA_CUDA                  the CUDA backend is there (CMake's target cria::cuda defines it)
/// CRIA_DEFAULT_BACKEND_CUDA  Tensor<T> lives on the GPU: for cria's tests and benchmarks, which run once for
///                            each backend. Programs write Tensor<T, Cuda>: with this macro a type would mean
///                            one thing in files that nvcc compiles and another in those that it does not.

#ifdef CRIA_CUDA
#include <cuda_runtime.h>
#define CRIA_HOST_DEVICE __host__ __device__
#ifdef __CUDACC__
// A view of constants may convert to itself, and pragmas of GCC are for GCC.
#pragma nv_diag_suppress 554, 1675
#endif
#else
#define CRIA_HOST_DEVICE
#endif

/// What a process or a thread has once, and types that are thrown or that such state is a template of: one
/// for all, also where a shared library is compiled with -fvisibility=hidden.
#define CRIA_SHARED [[gnu::visibility("default")]]

/// Before a loop whose steps do not depend on each other, or on nothing but a sum that they add to: the
/// compiler may vectorise it. CRIA_OPENMP_SIMD says that -fopenmp-simd is on, which no compiler tells.
#define CRIA_PRAGMA(text) _Pragma(#text)
#if defined(_OPENMP) || defined(CRIA_OPENMP_SIMD)
#define CRIA_SIMD CRIA_PRAGMA(omp simd)
#define CRIA_SIMD_SUM(sum) CRIA_PRAGMA(omp simd reduction(+ : sum))
#elif defined(__clang__)
#define CRIA_SIMD CRIA_PRAGMA(clang loop vectorize(assume_safety))
#define CRIA_SIMD_SUM(sum) CRIA_PRAGMA(clang loop vectorize(enable))
#else
#define CRIA_SIMD CRIA_PRAGMA(GCC ivdep)
#define CRIA_SIMD_SUM(sum)
#endif

/// For small functions inside loops that must be vectorised.
#define CRIA_INLINE [[gnu::always_inline]] inline

namespace cria {

struct Cpu;
struct Cuda;

/// The backend of `Tensor<T>` when none is spelled.
#ifdef CRIA_DEFAULT_BACKEND_CUDA
using DefaultBackend = Cuda;
#else
using DefaultBackend = Cpu;
#endif

}  // namespace cria
