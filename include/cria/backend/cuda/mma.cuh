#pragma once
/// Instructions that CUDA C++ has no function for: products of small matrices on tensor cores, loads of their
/// operands, copies that run beside the program. Of a warp's lane, `group` is lane / 4 and `place` is lane
/// % 4.

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "cria/backend/cuda/portability.cuh"
#include "cria/core/dtype.hpp"

#ifdef CRIA_CUDA_EMULATION
#include "cuda_emulation/tensor_core.hpp"
#endif

namespace cria::cuda {

/// Whether the device that is compiled for multiplies matrices of T on tensor cores.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
template <class T>
inline constexpr bool on_tensor_cores = std::is_same_v<T, float16>;
inline constexpr bool has_tf32 = false;  // whether they multiply floats, as TF32
#else
template <class T>
inline constexpr bool on_tensor_cores = std::is_same_v<T, float16> || std::is_same_v<T, bfloat16>;
inline constexpr bool has_tf32 = true;
#endif

/// Two numbers rounded to T (bfloat16 or float16) as the tensor cores take them: the first in the low half.
template <class T>
__device__ __forceinline__ std::uint32_t pack(float low, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  std::uint32_t both;
  if constexpr (std::is_same_v<T, bfloat16>) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  } else {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  }
  return both;
#else
  return static_cast<std::uint32_t>(T(low).bits) | static_cast<std::uint32_t>(T(high).bits) << 16;
#endif
}

/// 2^x within 2 units in the last place, numbers below 2^-126 as 0.
__device__ __forceinline__ float fast_exp2(float x) {
#ifdef CRIA_CUDA_EMULATION
  return std::exp2(x);
#else
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}
__device__ __forceinline__ double fast_exp2(double x) {
  return std::exp2(x);
}

/// d [16, 8] += a [16, 16] b [16, 8] by a whole warp, a and b in T (bfloat16 or float16).
/// top: d's row `group`, columns 2 place and 2 place + 1; bottom: the same of row group + 8.
/// a: two elements each of rows group, group + 8, group, group + 8, from column 2 place on, the last two 8
/// further. b: two elements each of column `group`, from row 2 place on, and 8 further. (volatile: the
/// compiler must not move it into a branch that only some lanes take.)
template <class T>
__device__ __forceinline__ void mma(float (&top)[2], float (&bottom)[2], const std::uint32_t (&a)[4],
                                    const std::uint32_t (&b)[2]) {
#if defined(CRIA_CUDA_EMULATION)
  cuda_emulation::multiply_16x8x16(top, bottom, a, b,
                                   [](std::uint16_t bits) { return static_cast<float>(T::from_bits(bits)); });
#elif !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  if constexpr (std::is_same_v<T, bfloat16>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(top[0]), "+f"(top[1]), "+f"(bottom[0]), "+f"(bottom[1])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(top[0]), "+f"(top[1]), "+f"(bottom[0]), "+f"(bottom[1])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
#else
  static_assert(on_tensor_cores<T>);
  for (int half = 0; half < 2; ++half) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
        : "+f"(top[0]), "+f"(top[1]), "+f"(bottom[0]), "+f"(bottom[1])
        : "r"(a[2 * half]), "r"(a[2 * half + 1]), "r"(b[half]));
  }
#endif
}

/// x rounded to TF32 (10 bits of fraction), ties away from zero.
__device__ __forceinline__ std::uint32_t tf32(float x) {
#if !defined(CRIA_CUDA_EMULATION) && (!defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800)
  std::uint32_t rounded;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(x));
  return rounded;
#else
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return x - x == 0 ? (bits + 0x1000u) & ~0x1FFFu : bits;
#endif
}

/// d [16, 8] += a [16, 8] b [8, 8] by a whole warp, a and b in TF32. d as above. a: rows group, group + 8,
/// group, group + 8 at column `place`, the last two 4 further. b: column `group` at row `place`, and 4
/// further. From sm_80 on.
__device__ __forceinline__ void mma_tf32(float (&top)[2], float (&bottom)[2], const std::uint32_t (&a)[4],
                                         const std::uint32_t (&b)[2]) {
#if defined(CRIA_CUDA_EMULATION)
  cuda_emulation::multiply_16x8x8(top, bottom, a, b);
#elif !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(top[0]), "+f"(top[1]), "+f"(bottom[0]), "+f"(bottom[1])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

/// Loads four 8 x 8 matrices of 16-bit elements from shared memory by a whole warp: lane 8 i + r names row r
/// of matrix i, 16 bytes at a multiple of 16. to[i]: row `group`, columns 2 place and 2 place + 1.
__device__ __forceinline__ void load_matrices(std::uint32_t (&to)[4], const void* row) {
#ifdef CRIA_CUDA_EMULATION
  cuda_emulation::load_4_matrices(to, row);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
#endif
}

/// The same, each matrix transposed. to[i]: column `group`, rows 2 place and 2 place + 1.
__device__ __forceinline__ void load_matrices_transposed(std::uint32_t (&to)[4], const void* row) {
#ifdef CRIA_CUDA_EMULATION
  cuda_emulation::load_4_matrices_transposed(to, row);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
#endif
}

/// Begins to copy Bytes (2, 4, 8 or 16; addresses are multiples of that) to shared memory, or zeros unless
/// `valid`; `from` is then not read. The thread sees them after wait_for_copies, others after a barrier too.
template <int Bytes>
__device__ __forceinline__ void copy_async(void* to, const void* from, bool valid) {
  static_assert(Bytes == 2 || Bytes == 4 || Bytes == 8 || Bytes == 16);
  if constexpr (Bytes == 2) {
    // cp.async moves 4 bytes at least.
    *static_cast<std::uint16_t*>(to) = valid ? *static_cast<const std::uint16_t*>(from) : std::uint16_t{0};
  } else {
#if defined(CRIA_CUDA_EMULATION)
    cuda_emulation::copy_async(to, from, Bytes, valid);
#elif !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
    const auto shared = static_cast<std::uint32_t>(__cvta_generic_to_shared(to));
    const std::uint32_t size = valid ? Bytes : 0;
    if constexpr (Bytes == 16) {
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(from), "r"(size)
                   : "memory");
    } else {
      asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared), "l"(from), "n"(Bytes),
                   "r"(size)
                   : "memory");
    }
#else
    using Word = std::conditional_t<Bytes == 16, uint4, std::conditional_t<Bytes == 8, uint2, unsigned>>;
    *static_cast<Word*>(to) = valid ? *static_cast<const Word*>(from) : Word{};
#endif
  }
}

/// Returns when all copies that the calling thread has begun are done.
__device__ __forceinline__ void wait_for_copies() {
#if defined(CRIA_CUDA_EMULATION)
  cuda_emulation::wait_for_copies();
#elif !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

}  // namespace cria::cuda
