#pragma once
/// Matrix products on the CPU. Float and double go to Eigen; 16-bit operands are widened to float first, so
/// that every sum is kept in float (Eigen's own 16-bit product rounds each partial sum).

#include <Eigen/Core>

#include "cria/backend/cpu/convert.hpp"
#include "cria/backend/cpu/cpu.hpp"
#include "cria/backend/cpu/parallel.hpp"
#include "cria/core/dtype.hpp"
#include "cria/core/view.hpp"

namespace cria::cpu {

/// Whether an operand is used as it is or transposed.
enum class Op { plain, transposed };

/// x as a matrix of A: itself if it has that type already, else a widened copy in `memory`.
template <class A, class T>
Rows<const A> widened(Rows<const T> x, const Scratch<A>& memory) {
  convert(Vec<const T>{x.data, x.rows * x.cols}, Vec<A>{memory.data(), x.rows * x.cols});
  return {memory.data(), x.rows, x.cols};
}

namespace detail {

template <class T>
auto eigen(Rows<const T> x) {
  return Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(x.data, x.rows,
                                                                                             x.cols);
}

/// c += op(a) op(b)
template <class A>
void eigen_gemm(Op op_a, Rows<const A> a, Op op_b, Rows<const A> b, Rows<A> c) {
  Eigen::Map<Eigen::Matrix<A, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> sum(c.data, c.rows, c.cols);
  if (op_a == Op::plain && op_b == Op::plain) sum.noalias() += eigen(a) * eigen(b);
  if (op_a == Op::plain && op_b == Op::transposed) sum.noalias() += eigen(a) * eigen(b).transpose();
  if (op_a == Op::transposed && op_b == Op::plain) sum.noalias() += eigen(a).transpose() * eigen(b);
  if (op_a == Op::transposed && op_b == Op::transposed)
    sum.noalias() += eigen(a).transpose() * eigen(b).transpose();
}

}  // namespace detail

/// c = op(a) op(b), or c += op(a) op(b) if `accumulate`; products are summed in acc_t of the operands' type.
template <class T, class C>
void gemm(Op op_a, Rows<const T> a, Op op_b, Rows<const T> b, bool accumulate, Rows<C> c) {
  using A = acc_t<T>;
  if constexpr (!std::is_same_v<T, A>) {
    const Scratch<A> memory_a(a.rows * a.cols), memory_b(b.rows * b.cols);
    gemm(op_a, widened<A>(a, memory_a), op_b, widened<A>(b, memory_b), accumulate, c);
  } else if constexpr (!std::is_same_v<C, A>) {
    const Scratch<A> memory(c.rows * c.cols);
    gemm(op_a, a, op_b, b, false, Rows<A>{memory.data(), c.rows, c.cols});
    const Vec<A> sum{memory.data(), c.rows * c.cols};
    const Vec<C> out{c.data, c.rows * c.cols};
    if (accumulate) {
      parallel_for(out.size, 65536, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) out[i] = static_cast<C>(static_cast<A>(out[i]) + sum[i]);
      });
    } else {
      convert(Vec<const A>(sum), out);
    }
  } else {
    if (!accumulate) Cpu::fill_zero(c.data, static_cast<std::size_t>(c.rows * c.cols) * sizeof(C));
    detail::eigen_gemm(op_a, a, op_b, b, c);
  }
}

}  // namespace cria::cpu
