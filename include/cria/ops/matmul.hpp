#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cria/backend/cpu/matmul.hpp"
#include "cria/core/check.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/elementwise.hpp"
#include "cria/ops/expand.hpp"
#include "cria/ops/reshape.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/matmul.cuh"
#endif

namespace cria {

namespace detail {

/// Over equal leading dimensions: a [..., m, k], b [..., k, n] -> [..., m, n].
template <FloatingPoint T, class B>
Tensor<T, B> multiply_stacks(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  using K = kernel_for<ops::MatMul, B>;
  auto y = Tensor<T, B>::empty(a.shape().with_dim(-1, b.dim(-1)));
  K::forward(as_planes(a.vec().data, a.shape()), as_planes(b.vec().data, b.shape()),
             as_planes(y.mutable_vec().data, y.shape()));
  return record("matmul", y, inputs(a, b), [=](const Tensor<T, B>& dy) {
    const auto da = sink(a).planes(), db = sink(b).planes();
    K::backward(as_planes(dy.vec().data, dy.shape()), as_planes(a.vec().data, a.shape()),
                as_planes(b.vec().data, b.shape()), da, db);
  });
}

/// The leading dimensions of the product of two stacks. Throws ShapeError if they do not fit.
inline Shape broadcast_stacks(const Shape& a, const Shape& b) {
  try {
    return broadcast_shape("matmul", std::array{a.leading().leading(), b.leading().leading()});
  } catch (const ShapeError&) {
    throw ShapeError("matmul: a is " + to_string(a) + " and b is " + to_string(b) +
                     "; counted from the last, all dimensions but the last two must be equal or 1");
  }
}

}  // namespace detail

/// Matrix products, summed in acc_t<T>: a [..., m, k], b [..., k, n] -> [..., m, n]. Leading dimensions are
/// broadcast by NumPy's rules, and a vector is a row on the left, a column on the right, that the result does
/// not have: [k] by [k] -> []. Throws ShapeError if the shapes do not fit.
template <FloatingPoint T, class B>
Tensor<T, B> matmul(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  check::rank_at_least("matmul", {"a", a.shape()}, 1);
  check::rank_at_least("matmul", {"b", b.shape()}, 1);
  check::equal_dims("matmul", {"a", a.shape()}, -1, {"b", b.shape()}, b.rank() == 1 ? 0 : -2);
  if (a.rank() == 1) return squeeze(matmul(unsqueeze(a, 0), b), b.rank() == 1 ? 0 : -2);
  if (b.rank() == 1) return squeeze(matmul(a, unsqueeze(b, 1)), -1);
  const Shape of_a = a.shape().leading().leading(), of_b = b.shape().leading().leading();
  if (of_a == of_b) return detail::multiply_stacks(a, b);
  if (of_b.rank() == 0) {  // all rows of a by one matrix
    const std::int64_t k = a.dim(-1), rows = a.shape().leading().size();
    return reshape(detail::multiply_stacks(reshape(a, {rows, k}), b), a.shape().with_dim(-1, b.dim(-1)));
  }
  const Shape stack = detail::broadcast_stacks(a.shape(), b.shape());
  const auto expanded = [&](const Tensor<T, B>& x) {
    std::vector<std::int64_t> dims(stack.begin(), stack.end());
    dims.insert(dims.end(), {x.dim(-2), x.dim(-1)});
    return Shape(dims) == x.shape() ? x : expand(x, Shape(dims));
  };
  return detail::multiply_stacks(expanded(a), expanded(b));
}

/// The matrix products of two stacks: a [s, m, k], b [s, k, n] -> [s, m, n]. Throws ShapeError if they do not
/// fit.
template <FloatingPoint T, class B>
Tensor<T, B> bmm(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  check::rank("bmm", {"a", a.shape()}, 3);
  check::rank("bmm", {"b", b.shape()}, 3);
  check::equal_dims("bmm", {"a", a.shape()}, 0, {"b", b.shape()}, 0);
  check::equal_dims("bmm", {"a", a.shape()}, 2, {"b", b.shape()}, 1);
  return detail::multiply_stacks(a, b);
}

/// The sum of the products of two vectors: [k], [k] -> []. Throws ShapeError if they do not fit.
template <FloatingPoint T, class B>
Tensor<T, B> dot(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  check::rank("dot", {"a", a.shape()}, 1);
  check::same_shape("dot", {"a", a.shape()}, {"b", b.shape()});
  return matmul(a, b);
}

/// Every product of an element of a and one of b: [m], [n] -> [m, n]. Throws ShapeError if they are no
/// vectors.
template <FloatingPoint T, class B>
Tensor<T, B> outer(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  check::rank("outer", {"a", a.shape()}, 1);
  check::rank("outer", {"b", b.shape()}, 1);
  return unsqueeze(a, 1) * b;
}

CRIA_REFUSE_MIXED(matmul, T)
CRIA_REFUSE_MIXED(bmm, T)
CRIA_REFUSE_MIXED(dot, T)
CRIA_REFUSE_MIXED(outer, T)
CRIA_REFUSE_INTEGERS(matmul)
CRIA_REFUSE_INTEGERS(bmm)
CRIA_REFUSE_INTEGERS(dot)
CRIA_REFUSE_INTEGERS(outer)

}  // namespace cria
