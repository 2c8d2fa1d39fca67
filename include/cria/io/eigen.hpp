#pragma once
/// The way between tensors and matrices of Eigen, for what Eigen does well: decompositions and solvers. Needs
/// Eigen 3.4, and is the only header of cria that does.

#include <Eigen/Core>
#include <cstdint>
#include <span>
#include <type_traits>

#include "cria/core/check.hpp"
#include "cria/core/dtype.hpp"
#include "cria/core/tensor.hpp"

namespace cria::io {

/// As tensors lie in memory.
template <class T>
using EigenMatrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// The elements of x [rows, columns], which are not copied: x must live as long. T is float or double. Throws
/// ShapeError if x is no matrix.
template <FloatingPoint T>
requires std::is_arithmetic_v<T> Eigen::Map<const EigenMatrix<T>> as_eigen(const Tensor<T, Cpu>& x) {
  check::rank("as_eigen", {"x", x.shape()}, 2);
  return {x.vec().data, x.dim(0), x.dim(1)};
}

/// The numbers of a matrix, or of an expression of matrices, of float or double -> [rows, columns].
template <class Derived>
Tensor<typename Derived::Scalar, Cpu> from_eigen(const Eigen::MatrixBase<Derived>& matrix) {
  using T = typename Derived::Scalar;
  const EigenMatrix<T> values = matrix;
  return Tensor<T, Cpu>::from({values.rows(), values.cols()},
                              std::span<const T>(values.data(), static_cast<std::size_t>(values.size())));
}

}  // namespace cria::io
