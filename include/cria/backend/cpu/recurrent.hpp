#pragma once

#include "cria/backend/cpu/map.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/recurrent.hpp"

namespace cria {

namespace cpu {

/// Rows of n states for a thread: each state takes as long as some 16 elements of a simple loop.
inline std::int64_t recurrent_rows_for_thread(std::int64_t n) {
  return rows_for_thread(16 * n);
}

}  // namespace cpu

template <>
struct kernel<ops::GruCell, Cpu> {
  template <class T>
  static void forward(Rows<const T> x, Rows<const T> product, Vec<const T> bias, Rows<const T> h,
                      Rows<T> saved, Rows<T> y) {
    using A = acc_t<T>;
    const std::int64_t n = h.cols;
    cpu::parallel_for(h.rows, cpu::recurrent_rows_for_thread(n), [=](std::int64_t begin, std::int64_t end) {
      const cpu::Wide<T> wide_x(3 * n), wide_product(3 * n), wide_bias(3 * n), wide_h(n);
      const cpu::Wide<T> wide_saved(4 * n), wide_y(n);
      const cpu::Scratch<A> unsaved(saved ? 0 : 4 * n);
      const A* b = wide_bias.read(bias.data, 3 * n);
      for (std::int64_t row = begin; row < end; ++row) {
        const A* xi = wide_x.read(x.row(row), 3 * n);
        const A* pi = wide_product.read(product.row(row), 3 * n);
        const A* hi = wide_h.read(h.row(row), n);
        A* si = saved ? wide_saved.target(saved.row(row)) : unsaved.data();
        A* yi = wide_y.target(y.row(row));
        CRIA_SIMD
        for (std::int64_t j = 0; j < 2 * n; ++j) si[j] = GruGates<A>::gate(xi[j], pi[j] + b[j]);
        CRIA_SIMD
        for (std::int64_t j = 0; j < n; ++j) {
          si[3 * n + j] = pi[2 * n + j] + b[2 * n + j];
          si[2 * n + j] = GruGates<A>::candidate(xi[2 * n + j], si[j], si[3 * n + j]);
        }
        CRIA_SIMD
        for (std::int64_t j = 0; j < n; ++j) yi[j] = gates_at(n, si + j).next(hi[j]);
        if (saved) wide_saved.write(saved.row(row), 4 * n);
        wide_y.write(y.row(row), n);
      }
    });
  }

  template <class T>
  static void backward(Rows<const T> dy, Rows<const T> h, Rows<const T> saved, Rows<T> dh, Rows<T> dx,
                       Rows<T> dproduct) {
    using A = acc_t<T>;
    const std::int64_t n = h.cols;
    cpu::parallel_for(h.rows, cpu::recurrent_rows_for_thread(n), [=](std::int64_t begin, std::int64_t end) {
      const cpu::Wide<T> wide_dy(n), wide_h(n), wide_saved(4 * n), wide_dh(n), to_dh(n);
      const cpu::Wide<T> wide_dx(3 * n), wide_dproduct(3 * n);
      for (std::int64_t row = begin; row < end; ++row) {
        const A* di = wide_dy.read(dy.row(row), n);
        const A* hi = wide_h.read(h.row(row), n);
        const A* si = wide_saved.read(saved.row(row), 4 * n);
        const A* later = wide_dh.read(dh.row(row), n);
        A* dhi = to_dh.target(dh.row(row));
        A* dxi = wide_dx.target(dx.row(row));
        A* dpi = wide_dproduct.target(dproduct.row(row));
        CRIA_SIMD
        for (std::int64_t j = 0; j < n; ++j) {
          const auto d = gates_at(n, si + j).gradients(di[j] + later[j], hi[j]);
          dpi[j] = dxi[j] = d.r;
          dpi[n + j] = dxi[n + j] = d.z;
          dxi[2 * n + j] = d.n;
          dpi[2 * n + j] = d.n_of_state;
          dhi[j] = d.h;
        }
        to_dh.write(dh.row(row), n);
        wide_dx.write(dx.row(row), 3 * n);
        wide_dproduct.write(dproduct.row(row), 3 * n);
      }
    });
  }

 private:
  template <class A>
  CRIA_INLINE static GruGates<A> gates_at(std::int64_t n, const A* saved) {
    return {saved[0], saved[n], saved[2 * n], saved[3 * n]};
  }
};

template <>
struct kernel<ops::LstmCell, Cpu> {
  template <class T>
  static void forward(Rows<const T> x, Rows<const T> product, Vec<const T> bias, Rows<const T> c,
                      Rows<T> saved, Rows<T> next_c, Rows<T> y) {
    using A = acc_t<T>;
    const std::int64_t n = c.cols;
    cpu::parallel_for(c.rows, cpu::recurrent_rows_for_thread(n), [=](std::int64_t begin, std::int64_t end) {
      const cpu::Wide<T> wide_x(4 * n), wide_product(4 * n), wide_bias(4 * n), wide_c(n);
      const cpu::Wide<T> wide_saved(4 * n), wide_next(n), wide_y(n);
      const A* b = wide_bias.read(bias.data, 4 * n);
      for (std::int64_t row = begin; row < end; ++row) {
        const A* xi = wide_x.read(x.row(row), 4 * n);
        const A* pi = wide_product.read(product.row(row), 4 * n);
        const A* ci = wide_c.read(c.row(row), n);
        A* to_c = wide_next.target(next_c.row(row));
        A* yi = wide_y.target(y.row(row));
        if (saved) {
          A* si = wide_saved.target(saved.row(row));
          CRIA_SIMD
          for (std::int64_t j = 0; j < n; ++j) {
            yi[j] = step(save(gates_at(n, j, xi, pi, b), n, si + j), ci[j], to_c[j]);
          }
          wide_saved.write(saved.row(row), 4 * n);
        } else {
          CRIA_SIMD
          for (std::int64_t j = 0; j < n; ++j) yi[j] = step(gates_at(n, j, xi, pi, b), ci[j], to_c[j]);
        }
        wide_next.write(next_c.row(row), n);
        wide_y.write(y.row(row), n);
      }
    });
  }

  template <class T>
  static void backward(Rows<const T> dy, Rows<const T> dh, Rows<const T> c, Rows<const T> next_c,
                       Rows<const T> saved, Rows<T> dc, Rows<T> dx) {
    using A = acc_t<T>;
    const std::int64_t n = c.cols;
    cpu::parallel_for(c.rows, cpu::recurrent_rows_for_thread(n), [=](std::int64_t begin, std::int64_t end) {
      const cpu::Wide<T> wide_dy(n), wide_dh(n), wide_c(n), wide_next(n), wide_saved(4 * n), wide_dc(n);
      const cpu::Wide<T> to_dc(n), wide_dx(4 * n);
      for (std::int64_t row = begin; row < end; ++row) {
        const A* di = wide_dy.read(dy.row(row), n);
        const A* later = wide_dh.read(dh.row(row), n);
        const A* ci = wide_c.read(c.row(row), n);
        const A* next = wide_next.read(next_c.row(row), n);
        const A* si = wide_saved.read(saved.row(row), 4 * n);
        const A* later_c = wide_dc.read(dc.row(row), n);
        A* dci = to_dc.target(dc.row(row));
        A* dxi = wide_dx.target(dx.row(row));
        CRIA_SIMD
        for (std::int64_t j = 0; j < n; ++j) {
          const LstmGates<A> gates{si[j], si[n + j], si[2 * n + j], si[3 * n + j]};
          const auto d = gates.gradients(di[j] + later[j], later_c[j], ci[j], next[j]);
          dxi[j] = d.i;
          dxi[n + j] = d.f;
          dxi[2 * n + j] = d.g;
          dxi[3 * n + j] = d.o;
          dci[j] = d.c;
        }
        to_dc.write(dc.row(row), n);
        wide_dx.write(dx.row(row), 4 * n);
      }
    });
  }

 private:
  template <class A>
  CRIA_INLINE static LstmGates<A> gates_at(std::int64_t n, std::int64_t j, const A* x, const A* product,
                                           const A* bias) {
    return LstmGates<A>::of(x[j] + product[j] + bias[j], x[n + j] + product[n + j] + bias[n + j],
                            x[2 * n + j] + product[2 * n + j] + bias[2 * n + j],
                            x[3 * n + j] + product[3 * n + j] + bias[3 * n + j]);
  }
  template <class A>
  CRIA_INLINE static LstmGates<A> save(LstmGates<A> gates, std::int64_t n, A* to) {
    to[0] = gates.i;
    to[n] = gates.f;
    to[2 * n] = gates.g;
    to[3 * n] = gates.o;
    return gates;
  }
  template <class A>
  CRIA_INLINE static A step(LstmGates<A> gates, A c, A& next_c) {
    next_c = gates.next_cell(c);
    return gates.output(next_c);
  }
};

}  // namespace cria
