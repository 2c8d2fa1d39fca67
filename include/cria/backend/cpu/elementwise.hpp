#pragma once
/// CPU kernels of the element-by-element operations.

#include "cria/backend/cpu/map.hpp"
#include "cria/core/formulas.hpp"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::Unary, Cpu> {
  template <class F, class T>
  static void forward(F f, Vec<const T> x, Vec<T> y) {
    using A = acc_t<T>;
    cpu::map(
        y, [f](A value) { return f.f(value); }, x);
  }

  template <class F, class T>
  static void backward(F f, Vec<const T> dy, Vec<const T> x, Gradient<Vec<T>> dx) {
    using A = acc_t<T>;
    cpu::map_add(
        dx, [f](A d, A value) { return d * f.df(value); }, dy, x);
  }
};

template <>
struct kernel<ops::Binary, Cpu> {
  template <class F, class T>
  static void forward(F f, Vec<const T> a, Vec<const T> b, Vec<T> y) {
    using A = acc_t<T>;
    cpu::map(
        y, [f](A left, A right) { return f.f(left, right); }, a, b);
  }

  template <class F, class T>
  static void backward(F f, Vec<const T> dy, Vec<const T> a, Vec<const T> b, Gradient<Vec<T>> da,
                       Gradient<Vec<T>> db) {
    using A = acc_t<T>;
    const auto both = [f](A d, A left, A right) {
      const ops::Pair<A> derivatives = f.df(left, right);
      return ops::Pair<A>{d * derivatives.a, d * derivatives.b};
    };
    if (da && db && da.fresh && db.fresh) {  // in one pass, as f computes them together
      cpu::map_pair(Vec<T>(da), Vec<T>(db), both, dy, a, b);
    } else {
      cpu::map_add(
          da, [both](A d, A left, A right) { return both(d, left, right).a; }, dy, a, b);
      cpu::map_add(
          db, [both](A d, A left, A right) { return both(d, left, right).b; }, dy, a, b);
    }
  }
};

}  // namespace cria
