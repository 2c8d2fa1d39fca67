#pragma once
/// Operations on each element alone. A new one is a functor with `f` and `df`, and a function of one line;
/// every backend gets it. Functors compute in acc_t<T>.

#include <cmath>

#include "cria/core/check.hpp"
#include "cria/core/kernel.hpp"
#include "cria/core/math.hpp"
#include "cria/core/tensor.hpp"
#include "cria/ops/accumulate.hpp"

namespace cria {

namespace ops {

/// kernel: forward(f, x, y) y = f.f(x); backward(f, dy, x, dx) dx += dy * f.df(x).
struct Unary;
/// kernel: forward(f, a, b, y) y = f.f(a, b); backward(f, dy, a, b, da, db) da += dy * f.df(a, b).a, likewise
/// b.
struct Binary;

template <class A>
struct Pair {
  A a;
  A b;
};

struct Add {
  template <class A>
  CRIA_HOST_DEVICE A f(A a, A b) const {
    return a + b;
  }
};
struct Subtract {
  template <class A>
  CRIA_HOST_DEVICE A f(A a, A b) const {
    return a - b;
  }
  template <class A>
  CRIA_HOST_DEVICE Pair<A> df(A, A) const {
    return {A(1), A(-1)};
  }
};
struct Multiply {
  template <class A>
  CRIA_HOST_DEVICE A f(A a, A b) const {
    return a * b;
  }
  template <class A>
  CRIA_HOST_DEVICE Pair<A> df(A a, A b) const {
    return {b, a};
  }
};
struct Divide {
  template <class A>
  CRIA_HOST_DEVICE A f(A a, A b) const {
    return a / b;
  }
  template <class A>
  CRIA_HOST_DEVICE Pair<A> df(A a, A b) const {
    const A inverse = A(1) / b;  // one division: on a GPU it is a call
    return {inverse, -a * inverse * inverse};
  }
};
struct SwiGlu {
  template <class A>
  CRIA_HOST_DEVICE A f(A gate, A up) const {
    return gate * math::sigmoid(gate) * up;
  }
  template <class A>
  CRIA_HOST_DEVICE Pair<A> df(A gate, A up) const {
    const A s = math::sigmoid(gate), silu = gate * s;
    // s (1 + gate (1 - s)) multiplied out: the compiler would compute 1 - s apart where s is the constant 0.
    return {up * (s + (silu - silu * s)), silu};
  }
};

/// factor * x + term
template <class S>
struct Affine {
  S factor;
  S term;
  template <class A>
  CRIA_HOST_DEVICE A f(A x) const {
    return factor * x + term;
  }
  template <class A>
  CRIA_HOST_DEVICE A df(A) const {
    return factor;
  }
};
/// numerator / x
template <class S>
struct Reciprocal {
  S numerator;
  template <class A>
  CRIA_HOST_DEVICE A f(A x) const {
    return numerator / x;
  }
  template <class A>
  CRIA_HOST_DEVICE A df(A x) const {
    return -numerator / (x * x);
  }
};
struct Square {
  template <class A>
  CRIA_HOST_DEVICE A f(A x) const {
    return x * x;
  }
  template <class A>
  CRIA_HOST_DEVICE A df(A x) const {
    return x + x;
  }
};
struct Exp {
  template <class A>
  CRIA_HOST_DEVICE A f(A x) const {
    return math::exp(x);
  }
  template <class A>
  CRIA_HOST_DEVICE A df(A x) const {
    return math::exp(x);
  }
};
struct Log {
  template <class A>
  CRIA_HOST_DEVICE A f(A x) const {
    return std::log(x);
  }
  template <class A>
  CRIA_HOST_DEVICE A df(A x) const {
    return A(1) / x;
  }
};
struct Relu {
  template <class A>
  CRIA_HOST_DEVICE A f(A x) const {
    return x < A(0) ? A(0) : x;  // NaN stays NaN
  }
  template <class A>
  CRIA_HOST_DEVICE A df(A x) const {
    return x <= A(0) ? A(0) : A(1);
  }
};
struct Silu {
  template <class A>
  CRIA_HOST_DEVICE A f(A x) const {
    return x * math::sigmoid(x);
  }
  template <class A>
  CRIA_HOST_DEVICE A df(A x) const {
    const A s = math::sigmoid(x);
    return s * (A(1) + x * (A(1) - s));
  }
};

}  // namespace ops

/// y = f.f(x), element by element, with derivative f.df(x).
template <class F, FloatingPoint T, class B>
Tensor<T, B> unary(std::string_view op, F f, const Tensor<T, B>& x) {
  using K = kernel_for<ops::Unary, B>;
  const auto compute = [=] {
    auto y = Tensor<T, B>::empty(x.shape());
    K::forward(f, x.vec(), y.mutable_vec());
    return y;
  };
  return record_repeatable(op, compute(), compute, inputs(x), [=](const Tensor<T, B>& dy) {
    K::backward(f, dy.vec(), x.vec(), detail::grad_vec(x));
  });
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
  return record_repeatable(op, compute(), compute, inputs(a, b), [=](const Tensor<T, B>& dy) {
    const auto da = detail::grad_vec(a), db = detail::grad_vec(b);
    K::backward(f, dy.vec(), a.vec(), b.vec(), da, db);
  });
}

/// a + b, a - b, a * b, a / b of equal shapes.
template <FloatingPoint T, class B>
Tensor<T, B> operator+(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  using K = kernel_for<ops::Binary, B>;
  check::same_shape("add", {"a", a.shape()}, {"b", b.shape()});
  auto y = Tensor<T, B>::empty(a.shape());
  K::forward(ops::Add{}, a.vec(), b.vec(), y.mutable_vec());
  return record_sum(y, a, b);
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

#include "cria/backend/cpu/elementwise.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/elementwise.cuh"
#endif
