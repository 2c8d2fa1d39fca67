#pragma once
/// Matrix products by Eigen, which is always there.

// Eigen 3.4 warns of itself where it is not a system's header.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wconversion"
#ifdef __clang__
#pragma GCC diagnostic ignored "-Wc99-extensions"
#else  // GCC 12 takes what AVX-512 instructions leave out for uninitialised
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <Eigen/Core>
#pragma GCC diagnostic pop

#include "cria/core/operand.hpp"

namespace cria::cpu::eigen {

template <class T>
auto map(Rows<const T> x) {
  return Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(x.data, x.rows,
                                                                                             x.cols);
}

/// c = a b, or c += a b if `accumulate`, for float and double.
template <class T>
void gemm(Operand<T> a, Operand<T> b, bool accumulate, Rows<T> c) {
  Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> sum(c.data, c.rows, c.cols);
  if (!accumulate) sum.setZero();
  const auto left = map(a.matrix), right = map(b.matrix);
  if (!a.is_transposed && !b.is_transposed) sum.noalias() += left * right;
  if (!a.is_transposed && b.is_transposed) sum.noalias() += left * right.transpose();
  if (a.is_transposed && !b.is_transposed) sum.noalias() += left.transpose() * right;
  if (a.is_transposed && b.is_transposed) sum.noalias() += left.transpose() * right.transpose();
}

}  // namespace cria::cpu::eigen
