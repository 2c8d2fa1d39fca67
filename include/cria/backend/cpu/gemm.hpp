#pragma once
/// Matrix products on the CPU, by Eigen or by a faster library where the program has one. Sums are kept in
/// acc_t: what no library sums in float is widened to float first (Eigen's own product of bfloat16 rounds
/// each partial sum).

#include <string>

#include "cria/backend/cpu/convert.hpp"
#include "cria/backend/cpu/cpu.hpp"
#include "cria/backend/cpu/gemm_eigen.hpp"
#include "cria/backend/cpu/map.hpp"
#include "cria/backend/cpu/sum.hpp"

namespace cria::cpu {

/// c = a b, or c += a b if `accumulate`, summed in acc_t<T>.
template <class T, class C>
using Product = void (*)(Operand<T> a, Operand<T> b, bool accumulate, Rows<C> c);

/// The product of a faster library than Eigen; null if there is none. A file that knows the library sets it
/// (gemm_onednn.hpp), and then all files of the program multiply by it, also those that are compiled without
/// it, as nvcc's are: what they are compiled to is the same.
template <class T, class C>
CRIA_SHARED inline Product<T, C> fast_product = nullptr;
/// Its name and the instructions that it uses: "oneDNN 2.6 (AVX-512)".
CRIA_SHARED inline std::string (*fast_library)() = nullptr;

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
  return std::is_same_v<T, acc_t<T>> || fast_product<T, T>;
}

/// Which library multiplies matrices of T, and where that is known by which instructions: "oneDNN 2.6
/// (AVX-512)".
template <class T>
std::string gemm_library() {
  const std::string widened = multiplies_as_is<T>() ? "" : ", widened to float32";
  if (fast_product<acc_t<T>, acc_t<T>>) return fast_library() + widened;
  return "Eigen " + std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + widened;
}

/// Multiplications of a product up to which Eigen is faster than a library that looks up what it prepared:
/// for matrices of 4 x 4 by 7 times, of 16 x 16 by 2.6, of 24 x 24 by 1.3, of 28 x 28 no more (oneDNN 2.6,
/// AVX-512, one thread; benchmarks/gemm_bench.cpp, square). The number of threads does not decide: results
/// would depend on it.
inline constexpr std::int64_t eigen_is_faster_up_to = 24 * 24 * 24;

/// c = a b, or c += a b if `accumulate`; products are summed in acc_t<T>.
template <class T, class C>
void gemm(Operand<T> a, Operand<T> b, bool accumulate, Rows<C> c) {
  using A = acc_t<T>;
  const std::int64_t size = c.rows * c.cols;
  if (fast_product<T, C> && size * a.cols() > eigen_is_faster_up_to)
    return fast_product<T, C>(a, b, accumulate, c);
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

#include "cria/backend/cpu/gemm_onednn.hpp"
