#pragma once
/// Attention on CUDA, without ever storing the scores (Dao 2023, FlashAttention-2). A warp owns some rows:
/// queries in forward and for dq, keys for dk and dv. Tiles of the other side pass by in shared memory, and
/// what is computed from them, scores and their gradients, stays in registers: as mma.sync lays its sums out,
/// they are the left operands of the next product. Scores are computed once more for dk and dv instead of
/// being shared with dq, so that each gradient is summed by one warp in a fixed order, without atomics.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "cria/backend/cuda/attention_forward.cuh"
#include "cria/backend/cuda/attention_gradients.cuh"
#include "cria/backend/cuda/attention_tiling.cuh"
#include "cria/backend/cuda/blas.hpp"
#include "cria/backend/cuda/cuda.hpp"
#include "cria/backend/cuda/launch.hpp"
#include "cria/core/error.hpp"
#include "cria/core/operations.hpp"

namespace cria::cuda::flash {

/// The tilings of an element type and head_dim. More rows to a warp mean less traffic from shared memory,
/// fewer registers more warps to hide latencies with; no registers are spilled, two blocks of 16-bit elements
/// or more fit the shared memory of an sm_80, and one block of any type the 99 KiB of an sm_86.
template <class T, int Dim>
struct Tilings {
  using Forward = Tiling<T, Dim, (Dim <= 96 ? 4 : 2), 32, (Dim == 96 ? 2 : 3)>;
  using QueryGradient = Tiling<T, Dim, 2, (Dim <= 64 ? 64 : 32), (Dim <= 96 ? 3 : 2)>;
  using KeyGradient = Tiling<T, Dim, 2, (Dim <= 64 ? 64 : 32), (Dim <= 48 ? 3 : 2)>;
};
template <int Dim>
struct Tilings<float, Dim> {
  using Forward = Tiling<float, Dim, 2, 32, 2>;
  using QueryGradient = std::conditional_t<(Dim <= 64), Forward, Tiling<float, Dim, 2, 16, 2, 2>>;
  using KeyGradient = QueryGradient;
};
/// Of float on tensor cores.
template <int Dim>
struct Tf32Tilings {
  using Forward = Tiling<float, Dim, 2, 32, (Dim <= 48 ? 3 : 2), (Dim <= 96 ? 4 : 2), true>;
  using QueryGradient = Tiling<float, Dim, 2, (Dim <= 64 ? 32 : 16), 2, (Dim <= 64 ? 4 : 2), true>;
  using KeyGradient = QueryGradient;
};
template <int Dim>
struct Tilings<double, Dim> {
  using Forward = Tiling<double, Dim, 1, 16, 1, (Dim <= 96 ? 4 : 2)>;
  using QueryGradient = Forward;
  using KeyGradient = Forward;
};

/// What a block may have on every device from sm_80 on.
inline constexpr std::size_t least_shared_memory = 99 * 1024;

/// Calls f with the tilings of T and the padded head_dim. Throws ShapeError if that is too large.
template <class T, class F>
void with_tilings(std::int64_t dim, F f) {
  const auto with = [&]<int Dim>(std::integral_constant<int, Dim>) {
    if constexpr (std::is_same_v<T, float>) {
      if (tf32_is_allowed()) return f(Tf32Tilings<Dim>());
    }
    f(Tilings<T, Dim>());
  };
  if (dim <= 48) return with(std::integral_constant<int, 48>());
  if (dim <= 64) return with(std::integral_constant<int, 64>());
  if (dim <= 96) return with(std::integral_constant<int, 96>());
  if (dim <= 128) return with(std::integral_constant<int, 128>());
  throw ShapeError("attention: q.dim(3) = " + std::to_string(dim) + "; on CUDA it may be at most 128");
}

/// The bytes that all rows of these tensors can be moved by at once: 16, 8 or sizeof(T).
template <class T, class... X>
int common_access(const X&... x) {
  const auto bits = [](const Heads<const T>& heads) {
    const std::int64_t elements = heads.dim | heads.row_stride | heads.batch_stride;
    return reinterpret_cast<std::uintptr_t>(heads.data) | static_cast<std::uintptr_t>(elements) * sizeof(T);
  };
  const std::uintptr_t all = (bits(x) | ...);
  return all % 16 == 0 ? 16 : all % 8 == 0 ? 8 : static_cast<int>(sizeof(T));
}

/// Blocks for all rows of x: [sequences * heads, tiles of a head].
template <class S, class T>
dim3 grid(const Heads<const T>& x) {
  return dim3(static_cast<unsigned>(x.batch * x.heads),
              static_cast<unsigned>((x.length + S::rows - 1) / S::rows));
}

template <class A, class T>
A score_scale(const Heads<const T>& q) {
  return A(1) / std::sqrt(static_cast<A>(q.dim));
}

}  // namespace cria::cuda::flash

namespace cria {

template <>
struct kernel<ops::Attention, Cuda> {
  template <class T, class A>
  static void forward(Heads<const T> q, Heads<const T> k, Heads<const T> v, Heads<T> y, Vec<A> log_sum) {
    namespace flash = cuda::flash;
    const int access = flash::common_access<T>(q, k, v, y);
    flash::with_tilings<T>(q.dim, [&]<class Tilings>(Tilings) {
      using S = typename Tilings::Forward;
      static_assert(flash::forward_shared_memory<S> <= flash::least_shared_memory);
      cuda::launch(flash::forward_kernel<S>, flash::grid<S>(q), S::threads, flash::forward_shared_memory<S>,
                   q, k, v, y, log_sum, flash::score_scale<A>(q), access);
    });
  }

  template <class T, class A>
  static void backward(Heads<const T> dy, Heads<const T> q, Heads<const T> k, Heads<const T> v,
                       Heads<const T> y, Vec<const A> log_sum, Gradient<Heads<T>> dq, Gradient<Heads<T>> dk,
                       Gradient<Heads<T>> dv) {
    namespace flash = cuda::flash;
    const int access = flash::common_access<T>(dy, q, k, v, y, dq, dk, dv);
    const A scale = flash::score_scale<A>(q);
    const cuda::Scratch<A> delta(log_sum.size);
    flash::with_tilings<T>(q.dim, [&]<class Tilings>(Tilings) {
      using S = typename Tilings::QueryGradient;
      static_assert(flash::query_gradient_shared_memory<S> <= flash::least_shared_memory);
      cuda::launch(flash::query_gradient_kernel<S>, flash::grid<S>(q), S::threads,
                   flash::query_gradient_shared_memory<S>, dy, q, k, v, y, log_sum, delta.vec(), dq, scale,
                   access);
      if (!dk && !dv) return;
      using K = typename Tilings::KeyGradient;
      static_assert(flash::key_gradient_shared_memory<K> <= flash::least_shared_memory);
      cuda::launch(flash::key_gradient_kernel<K>, flash::grid<K>(k), K::threads,
                   flash::key_gradient_shared_memory<K>, dy, q, k, v, log_sum, delta.vec(), dk, dv, scale,
                   access);
    });
  }
};

}  // namespace cria
