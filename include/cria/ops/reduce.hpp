#pragma once

#include "cria/backend/cpu/reduce.hpp"
#include "cria/core/check.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/elementwise.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/reduce.cuh"
#endif

namespace cria {

namespace detail {
/// Sum over the dimensions [first, last), into the shape `result`.
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> sum_over(const Tensor<T, B>& x, int first, int last, const Shape& result) {
  using K = kernel_for<ops::Sum, B>;
  auto y = Tensor<acc_t<T>, B>::empty(result);
  const Shape planes{x.shape().product(0, first), x.shape().product(first, last),
                     x.shape().product(last, x.rank())};
  K::forward(Planes<const T>{x.vec().data, planes.dim(0), planes.dim(1), planes.dim(2)}, y.mutable_vec());
  return record("sum", y, inputs(unread(x)), [planes, to_x = sink(x)](const Tensor<acc_t<T>, B>& dy) {
    const auto dx = to_x.vec();
    K::backward(dy.vec(),
                Gradient<Planes<T>>{{dx.data, planes.dim(0), planes.dim(1), planes.dim(2)}, dx.fresh});
  });
}
}  // namespace detail

/// The sum of all elements, in acc_t<T>. x [...] -> []
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> sum(const Tensor<T, B>& x) {
  return detail::sum_over(x, 0, x.rank(), {});
}

/// Sums along one dimension, in acc_t<T>. x [..., n, ...] -> [..., ...] without that dimension.
/// Throws ShapeError if there is no such dimension.
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> sum(const Tensor<T, B>& x, int axis) {
  const int first = x.shape().axis(axis);
  std::vector<std::int64_t> dims(x.shape().begin(), x.shape().end());
  dims.erase(dims.begin() + first);
  return detail::sum_over(x, first, first + 1, Shape(dims));
}

/// The mean of all elements, in acc_t<T>. x [...] -> []. Throws ShapeError if there are none.
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> mean(const Tensor<T, B>& x) {
  check::not_empty("mean", {"x", x.shape()});
  return sum(x) / static_cast<acc_t<T>>(x.size());
}

/// Means along one dimension, in acc_t<T>. x [..., n, ...] -> [..., ...]. Throws ShapeError if it is empty.
template <FloatingPoint T, class B>
Tensor<acc_t<T>, B> mean(const Tensor<T, B>& x, int axis) {
  check::not_empty("mean", {"x", x.shape()});
  return sum(x, axis) / static_cast<acc_t<T>>(x.dim(axis));
}

}  // namespace cria
