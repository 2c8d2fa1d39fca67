#pragma once
/// Operations on each element alone. A new one is a formula (core/formulas.hpp) and a function of one line;
/// every backend gets it.

#include "cria/backend/cpu/elementwise.hpp"
#include "cria/core/check.hpp"
#include "cria/core/formulas.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/accumulate.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/elementwise.cuh"
#endif

namespace cria {

/// y = f.f(x), element by element, with derivative f.df(x).
template <class F, FloatingPoint T, class B>
Tensor<T, B> unary(std::string_view op, F f, const Tensor<T, B>& x) {
  using K = kernel_for<ops::Unary, B>;
  const auto compute = [=] {
    auto y = Tensor<T, B>::empty(x.shape());
    K::forward(f, x.vec(), y.mutable_vec());
    return y;
  };
  return record(
      op, compute(), inputs(x),
      [=](const Tensor<T, B>& dy) { K::backward(f, dy.vec(), x.vec(), sink(x).vec()); }, compute);
}

/// y = f.f(a, b), element by element, with derivatives f.df(a, b). Throws ShapeError unless the shapes are
/// equal.
template <class F, FloatingPoint T, class B>
Tensor<T, B> binary(std::string_view op, F f, const Tensor<T, B>& a, const Tensor<T, B>& b) {
  using K = kernel_for<ops::Binary, B>;
  check::same_shape(op, {"a", a.shape()}, {"b", b.shape()});
  const auto compute = [=] {
    auto y = Tensor<T, B>::empty(a.shape());
    K::forward(f, a.vec(), b.vec(), y.mutable_vec());
    return y;
  };
  return record(
      op, compute(), inputs(a, b),
      [=](const Tensor<T, B>& dy) {
        const auto da = sink(a).vec(),
                   db = sink(b).vec();  // the first is the fresh one of two that are the same
        K::backward(f, dy.vec(), a.vec(), b.vec(), da, db);
      },
      compute);
}

/// a + b, a - b, a * b, a / b of equal shapes.
template <FloatingPoint T, class B>
Tensor<T, B> operator+(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  using K = kernel_for<ops::Binary, B>;
  check::same_shape("add", {"a", a.shape()}, {"b", b.shape()});
  auto y = Tensor<T, B>::empty(a.shape());
  K::forward(ops::Add{}, a.vec(), b.vec(), y.mutable_vec());
  return detail::record_sum(y, a, b);
}
template <FloatingPoint T, class B>
Tensor<T, B> operator-(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  return binary("subtract", ops::Subtract{}, a, b);
}
template <FloatingPoint T, class B>
Tensor<T, B> operator*(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  return binary("multiply", ops::Multiply{}, a, b);
}
template <FloatingPoint T, class B>
Tensor<T, B> operator/(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  return binary("divide", ops::Divide{}, a, b);
}

/// The same with a number on one side.
template <FloatingPoint T, class B>
Tensor<T, B> operator+(const Tensor<T, B>& x, std::type_identity_t<acc_t<T>> s) {
  return unary("add", ops::Affine<acc_t<T>>{1, s}, x);
}
template <FloatingPoint T, class B>
Tensor<T, B> operator+(std::type_identity_t<acc_t<T>> s, const Tensor<T, B>& x) {
  return x + s;
}
template <FloatingPoint T, class B>
Tensor<T, B> operator-(const Tensor<T, B>& x, std::type_identity_t<acc_t<T>> s) {
  return x + (-s);
}
template <FloatingPoint T, class B>
Tensor<T, B> operator-(std::type_identity_t<acc_t<T>> s, const Tensor<T, B>& x) {
  return unary("subtract", ops::Affine<acc_t<T>>{-1, s}, x);
}
template <FloatingPoint T, class B>
Tensor<T, B> operator-(const Tensor<T, B>& x) {
  return unary("negate", ops::Affine<acc_t<T>>{-1, 0}, x);
}
template <FloatingPoint T, class B>
Tensor<T, B> operator*(const Tensor<T, B>& x, std::type_identity_t<acc_t<T>> s) {
  return unary("multiply", ops::Affine<acc_t<T>>{s, 0}, x);
}
template <FloatingPoint T, class B>
Tensor<T, B> operator*(std::type_identity_t<acc_t<T>> s, const Tensor<T, B>& x) {
  return x * s;
}
template <FloatingPoint T, class B>
Tensor<T, B> operator/(const Tensor<T, B>& x, std::type_identity_t<acc_t<T>> s) {
  return x * (acc_t<T>(1) / s);
}
template <FloatingPoint T, class B>
Tensor<T, B> operator/(std::type_identity_t<acc_t<T>> s, const Tensor<T, B>& x) {
  return unary("divide", ops::Reciprocal<acc_t<T>>{s}, x);
}

/// x^2
template <FloatingPoint T, class B>
Tensor<T, B> square(const Tensor<T, B>& x) {
  return unary("square", ops::Square{}, x);
}
/// e^x
template <FloatingPoint T, class B>
Tensor<T, B> exp(const Tensor<T, B>& x) {
  return unary("exp", ops::Exp{}, x);
}
/// Natural logarithm.
template <FloatingPoint T, class B>
Tensor<T, B> log(const Tensor<T, B>& x) {
  return unary("log", ops::Log{}, x);
}
/// max(x, 0); NaN for NaN.
template <FloatingPoint T, class B>
Tensor<T, B> relu(const Tensor<T, B>& x) {
  return unary("relu", ops::Relu{}, x);
}
/// x / (1 + e^-x). Elfwing, Uchibe, Doya 2017.
template <FloatingPoint T, class B>
Tensor<T, B> silu(const Tensor<T, B>& x) {
  return unary("silu", ops::Silu{}, x);
}
/// silu(gate) * up. Shazeer 2020. Throws ShapeError unless the shapes are equal.
template <FloatingPoint T, class B>
Tensor<T, B> swiglu(const Tensor<T, B>& gate, const Tensor<T, B>& up) {
  return binary("swiglu", ops::SwiGlu{}, gate, up);
}

}  // namespace cria
