#pragma once
/// Look-alike of cuda_runtime.h: CUDA C++ as ordinary C++ that the emulation executes on the CPU. Strict:
/// what it does not declare, cria does not use.

#include "cuda_runtime_api.h"
#include "vector_functions.h"

#define __global__
#define __host__
#define __device__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __constant__ static
#define __align__(n) __attribute__((aligned(n)))
// One block runs at a time on a thread of the host, whose segment is where the checker looks for it.
#define __shared__ static thread_local

#include "cuda_emulation/atomics.hpp"
#include "cuda_emulation/builtins.hpp"
#include "cuda_emulation/intrinsics.hpp"
#include "cuda_emulation/launch.hpp"
#include "cuda_emulation/warp.hpp"
