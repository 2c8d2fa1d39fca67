#pragma once
/// Matrix products by Eigen, to compare with.

#include <Eigen/Core>

#include "cria/core/operand.hpp"

namespace cria::benchmarks {

template <class T>
auto eigen_map(Rows<const T> x) {
  return Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(x.data, x.rows,
                                                                                             x.cols);
}

/// c = a b, or c += a b if `accumulate`, for float and double.
template <class T>
void eigen_product(Operand<T> a, Operand<T> b, bool accumulate, Rows<T> c) {
  Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> sum(c.data, c.rows, c.cols);
  if (!accumulate) sum.setZero();
  const auto left = eigen_map(a.matrix), right = eigen_map(b.matrix);
  if (!a.is_transposed && !b.is_transposed) sum.noalias() += left * right;
  if (!a.is_transposed && b.is_transposed) sum.noalias() += left * right.transpose();
  if (a.is_transposed && !b.is_transposed) sum.noalias() += left.transpose() * right;
  if (a.is_transposed && b.is_transposed) sum.noalias() += left.transpose() * right.transpose();
}

}  // namespace cria::benchmarks
