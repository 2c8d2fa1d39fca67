#pragma once
/// Matrix products on the CPU, by the fastest library that multiplies the element types: oneDNN where it is
/// compiled in, else Eigen. Sums are kept in acc_t: what no library sums in float is widened to float first
/// (Eigen's own product of bfloat16 rounds each partial sum).

#include <string>

#include "cria/backend/cpu/convert.hpp"
#include "cria/backend/cpu/cpu.hpp"
#include "cria/backend/cpu/gemm_eigen.hpp"
#include "cria/backend/cpu/gemm_onednn.hpp"
#include "cria/backend/cpu/map.hpp"
#include "cria/backend/cpu/sum.hpp"

namespace cria::cpu {

namespace detail {

/// x as a matrix of A, in `memory`.
template <class A, class T>
Operand<A> widened(Operand<T> x, const Scratch<A>& memory) {
  const std::int64_t size = x.matrix.rows * x.matrix.cols;
  convert(Vec<const T>{x.matrix.data, size}, Vec<A>{memory.data(), size});
  return {{memory.data(), x.matrix.rows, x.matrix.cols}, x.is_transposed};
}

}  // namespace detail

/// Whether matrices of T are multiplied as they are; else they are widened to acc_t<T> first.
template <class T>
bool multiplies_as_is() {
#ifdef CRIA_ONEDNN
  if constexpr (onednn::knows<T, T>) return onednn::is_native<T>();
#endif
  return std::is_same_v<T, acc_t<T>>;
}

/// Which library multiplies matrices of T, and where that is known by which instructions: "oneDNN 2.6
/// (AVX-512)".
template <class T>
std::string gemm_library() {
  const std::string widened = multiplies_as_is<T>() ? "" : ", widened to float32";
#ifdef CRIA_ONEDNN
  if constexpr (onednn::knows<acc_t<T>, acc_t<T>>) return onednn::description() + widened;
#endif
  return "Eigen " + std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + widened;
}

/// c = a b, or c += a b if `accumulate`; products are summed in acc_t<T>.
template <class T, class C>
void gemm(Operand<T> a, Operand<T> b, bool accumulate, Rows<C> c) {
  using A = acc_t<T>;
  const std::int64_t size = c.rows * c.cols;
#ifdef CRIA_ONEDNN
  if constexpr (onednn::knows<T, C>) {
    if (onednn::is_native<T>() && size > 0 && a.cols() > 0) return onednn::gemm(a, b, accumulate, c);
  }
#endif
  if constexpr (!std::is_same_v<T, A>) {
    const Scratch<A> memory_a(a.rows() * a.cols()), memory_b(b.rows() * b.cols());
    gemm(detail::widened(a, memory_a), detail::widened(b, memory_b), accumulate, c);
  } else if constexpr (!std::is_same_v<C, A>) {
    const Scratch<A> memory(size);
    gemm(a, b, false, Rows<A>{memory.data(), c.rows, c.cols});
    const Vec<A> sum{memory.data(), size};
    const Vec<C> out{c.data, size};
    if (accumulate) {
      parallel_for_elements(size, 65536, [=](std::int64_t begin, std::int64_t end) {
        CRIA_SIMD
        for (std::int64_t i = begin; i < end; ++i) out[i] = static_cast<C>(static_cast<A>(out[i]) + sum[i]);
      });
    } else {
      convert(Vec<const A>(sum), out);
    }
  } else {
    eigen::gemm(a, b, accumulate, c);
  }
}

/// c = a^T b, or c += a^T b if `accumulate`, for a [rows, m], b [rows, n] and c [m, n]: a gradient of
/// weights, which sums over rows, of which there may be millions.
template <class T, class C>
void gemm_over_rows(Rows<const T> a, Rows<const T> b, bool accumulate, Rows<C> c) {
  using A = acc_t<T>;
  if (a.rows <= block_of_depth) return gemm(transposed(a), plain(b), accumulate, c);
  const std::int64_t size = c.rows * c.cols;
  const Scratch<A> sums(size);
  pairwise_sums(0, a.rows, block_of_depth, size, sums.data(),
                [=](std::int64_t begin, std::int64_t end, A* block) {
                  const std::int64_t rows = end - begin;
                  gemm(transposed(a.slice(begin, rows)), plain(b.slice(begin, rows)), false,
                       Rows<A>{block, c.rows, c.cols});
                });
  map_range(
      0, size, accumulate, Vec<C>{c.data, size}, [](A sum) { return sum; }, Vec<const A>{sums.data(), size});
}

}  // namespace cria::cpu
