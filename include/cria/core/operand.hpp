#pragma once

#include "cria/core/view.hpp"

namespace cria {

/// A matrix as a product takes it: as it lies in memory, or transposed.
template <class T>
struct Operand {
  Rows<const T> matrix;
  bool is_transposed = false;

  std::int64_t rows() const { return is_transposed ? matrix.cols : matrix.rows; }
  std::int64_t cols() const { return is_transposed ? matrix.rows : matrix.cols; }
};

template <class T>
Operand<T> plain(Rows<const T> matrix) {
  return {matrix, false};
}
template <class T>
Operand<T> transposed(Rows<const T> matrix) {
  return {matrix, true};
}

}  // namespace cria
