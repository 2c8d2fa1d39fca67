#pragma once
/// What is decided when compiling: where code can run, and which backend user code gets by default.

#if defined(__CUDACC__)
#define CRIA_HOST_DEVICE __host__ __device__
#else
#define CRIA_HOST_DEVICE
#endif

/// For small functions inside loops that must be vectorised.
#define CRIA_INLINE [[gnu::always_inline]] inline

namespace cria {

struct Cpu;

/// The backend of `Tensor<T>` when none is spelled.
using DefaultBackend = Cpu;

}  // namespace cria
