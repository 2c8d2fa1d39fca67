#pragma once

#include "cria/backend/cuda/launch.hpp"
#include "cria/backend/cuda/pack.cuh"
#include "cria/core/division.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/recurrent.hpp"

namespace cria {

namespace cuda {

/// A thread has a state; neighbours have the next of the same row.
template <class T>
__global__ void __launch_bounds__(block_size, shared_by_blocks<T>)
    gru_cell_kernel(Rows<const T> x, Rows<const T> product, const T* bias, Rows<const T> h, Rows<T> saved,
                    Rows<T> y) {
  using A = acc_t<T>;
  const std::int64_t n = h.cols;
  for (std::int64_t i = first_item(); i < h.rows * n; i += item_stride()) {
    const auto [row, j] = divided(i, n);
    const T* xi = x.row(row) + j;
    const T* pi = product.row(row) + j;
    const T* b = bias + j;
    const auto gate = [=](std::int64_t at) {
      return GruGates<A>::gate(wide(xi[at]), wide(pi[at]) + wide(b[at]));
    };
    const A r = gate(0), h_n = wide(pi[2 * n]) + wide(b[2 * n]);
    const GruGates<A> gates{r, gate(n), GruGates<A>::candidate(wide(xi[2 * n]), r, h_n), h_n};
    y.data[i] = static_cast<T>(gates.next(wide(h.data[i])));
    if (!saved) continue;
    T* si = saved.row(row) + j;
    si[0] = static_cast<T>(gates.r);
    si[n] = static_cast<T>(gates.z);
    si[2 * n] = static_cast<T>(gates.n);
    si[3 * n] = static_cast<T>(gates.n_of_state);
  }
}

template <class T>
__global__ void __launch_bounds__(block_size, shared_by_blocks<T>)
    gru_cell_backward_kernel(Rows<const T> dy, Rows<const T> h, Rows<const T> saved, Rows<T> dh, Rows<T> dx,
                             Rows<T> dproduct) {
  using A = acc_t<T>;
  const std::int64_t n = h.cols;
  for (std::int64_t i = first_item(); i < h.rows * n; i += item_stride()) {
    const auto [row, j] = divided(i, n);
    const T* si = saved.row(row) + j;
    const GruGates<A> gates{wide(si[0]), wide(si[n]), wide(si[2 * n]), wide(si[3 * n])};
    const auto d = gates.gradients(wide(dy.data[i]) + wide(dh.data[i]), wide(h.data[i]));
    T* dxi = dx.row(row) + j;
    T* dpi = dproduct.row(row) + j;
    dpi[0] = dxi[0] = static_cast<T>(d.r);
    dpi[n] = dxi[n] = static_cast<T>(d.z);
    dxi[2 * n] = static_cast<T>(d.n);
    dpi[2 * n] = static_cast<T>(d.n_of_state);
    dh.data[i] = static_cast<T>(d.h);
  }
}

template <class T>
__global__ void __launch_bounds__(block_size, shared_by_blocks<T>)
    lstm_cell_kernel(Rows<const T> x, Rows<const T> product, const T* bias, Rows<const T> c, Rows<T> saved,
                     Rows<T> next_c, Rows<T> y) {
  using A = acc_t<T>;
  const std::int64_t n = c.cols;
  for (std::int64_t i = first_item(); i < c.rows * n; i += item_stride()) {
    const auto [row, j] = divided(i, n);
    const T* xi = x.row(row) + j;
    const T* pi = product.row(row) + j;
    const T* b = bias + j;
    const auto sum = [=](std::int64_t at) { return wide(xi[at]) + wide(pi[at]) + wide(b[at]); };
    const auto gates = LstmGates<A>::of(sum(0), sum(n), sum(2 * n), sum(3 * n));
    const A next = gates.next_cell(wide(c.data[i]));
    next_c.data[i] = static_cast<T>(next);
    y.data[i] = static_cast<T>(gates.output(next));
    if (!saved) continue;
    T* si = saved.row(row) + j;
    si[0] = static_cast<T>(gates.i);
    si[n] = static_cast<T>(gates.f);
    si[2 * n] = static_cast<T>(gates.g);
    si[3 * n] = static_cast<T>(gates.o);
  }
}

template <class T>
__global__ void __launch_bounds__(block_size, shared_by_blocks<T>)
    lstm_cell_backward_kernel(Rows<const T> dy, Rows<const T> dh, Rows<const T> c, Rows<const T> next_c,
                              Rows<const T> saved, Rows<T> dc, Rows<T> dx) {
  using A = acc_t<T>;
  const std::int64_t n = c.cols;
  for (std::int64_t i = first_item(); i < c.rows * n; i += item_stride()) {
    const auto [row, j] = divided(i, n);
    const T* si = saved.row(row) + j;
    const LstmGates<A> gates{wide(si[0]), wide(si[n]), wide(si[2 * n]), wide(si[3 * n])};
    const auto d = gates.gradients(wide(dy.data[i]) + wide(dh.data[i]), wide(dc.data[i]), wide(c.data[i]),
                                   wide(next_c.data[i]));
    T* dxi = dx.row(row) + j;
    dxi[0] = static_cast<T>(d.i);
    dxi[n] = static_cast<T>(d.f);
    dxi[2 * n] = static_cast<T>(d.g);
    dxi[3 * n] = static_cast<T>(d.o);
    dc.data[i] = static_cast<T>(d.c);
  }
}

}  // namespace cuda

template <>
struct kernel<ops::GruCell, Cuda> {
  template <class T>
  static void forward(Rows<const T> x, Rows<const T> product, Vec<const T> bias, Rows<const T> h,
                      Rows<T> saved, Rows<T> y) {
    cuda::launch(cuda::gru_cell_kernel<T>, cuda::grid_for(h.rows * h.cols), cuda::block_size, 0, x, product,
                 bias.data, h, saved, y);
  }

  template <class T>
  static void backward(Rows<const T> dy, Rows<const T> h, Rows<const T> saved, Rows<T> dh, Rows<T> dx,
                       Rows<T> dproduct) {
    cuda::launch(cuda::gru_cell_backward_kernel<T>, cuda::grid_for(h.rows * h.cols), cuda::block_size, 0, dy,
                 h, saved, dh, dx, dproduct);
  }
};

template <>
struct kernel<ops::LstmCell, Cuda> {
  template <class T>
  static void forward(Rows<const T> x, Rows<const T> product, Vec<const T> bias, Rows<const T> c,
                      Rows<T> saved, Rows<T> next_c, Rows<T> y) {
    cuda::launch(cuda::lstm_cell_kernel<T>, cuda::grid_for(c.rows * c.cols), cuda::block_size, 0, x, product,
                 bias.data, c, saved, next_c, y);
  }

  template <class T>
  static void backward(Rows<const T> dy, Rows<const T> dh, Rows<const T> c, Rows<const T> next_c,
                       Rows<const T> saved, Rows<T> dc, Rows<T> dx) {
    cuda::launch(cuda::lstm_cell_backward_kernel<T>, cuda::grid_for(c.rows * c.cols), cuda::block_size, 0, dy,
                 dh, c, next_c, saved, dc, dx);
  }
};

}  // namespace cria
