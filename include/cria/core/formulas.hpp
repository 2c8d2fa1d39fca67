#pragma once
/// The formulas of operations on each element alone: functors with the function `f` and its derivative `df`.
/// They compute in acc_t<T>.

#include <cmath>

#include "cria/core/config.hpp"
#include "cria/core/math.hpp"

namespace cria::ops {

/// The derivatives of a formula of two numbers.
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

}  // namespace cria::ops
