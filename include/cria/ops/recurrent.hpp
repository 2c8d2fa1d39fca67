#pragma once
/// Recurrent networks over whole sequences: a product and a kernel for each step, and one gradient for all of
/// them, in which that of the weight is one product over all steps. What the input brings to the gates does
/// not depend on the state, so it comes from one product over all steps, too: x = linear(input, weight_ih,
/// bias_ih).

#include <concepts>
#include <cstdint>
#include <string_view>
#include <utility>

#include "cria/backend/cpu/recurrent.hpp"
#include "cria/core/check.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/accumulate.hpp"
#include "cria/ops/linear.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/recurrent.cuh"
#endif

namespace cria {

namespace detail {

inline void check_recurrent(std::string_view op, const Shape& x, const Shape& weight, const Shape& bias,
                            std::int64_t gates) {
  check::rank(op, {"x", x}, 3);
  check::rank(op, {"weight", weight}, 2);
  check::rank(op, {"bias", bias}, 1);
  if (x.dim(0) == 0) {
    throw ShapeError(std::string(op) + ": x is " + to_string(x) + "; at least one step is needed");
  }
  check::divisible(op, {"weight", weight}, 0, "the number of gates", gates);
  check::equal_dims(op, {"x", x}, -1, {"weight", weight}, 0);
  check::equal_dims(op, {"bias", bias}, 0, {"weight", weight}, 0);
  if (weight.dim(0) == gates * weight.dim(1)) return;
  throw ShapeError(std::string(op) + ": weight is " + to_string(weight) + "; weight.dim(0) must be " +
                   std::to_string(gates) + " times weight.dim(1)");
}

inline void check_state(std::string_view op, std::string_view name, const Shape& state, const Shape& x,
                        const Shape& weight) {
  check::rank(op, {name, state}, 2);
  check::equal_dims(op, {name, state}, 0, {"x", x}, 1);
  check::equal_dims(op, {name, state}, 1, {"weight", weight}, 1);
}

/// x [time, batch, n] at step t.
template <class T, class B>
Rows<const T> at_step(const Tensor<T, B>& x, std::int64_t t) {
  return x.rows().slice(t * x.dim(1), x.dim(1));
}
template <class T, class B>
Rows<T> at_step(Tensor<T, B>& x, std::int64_t t) {
  return x.mutable_rows().slice(t * x.dim(1), x.dim(1));
}

/// What step t begins with: `first`, or what the step before it has left in `later` [time, batch, n].
template <class T, class B>
Rows<const T> before_step(const Tensor<T, B>& first, const Tensor<T, B>& later, std::int64_t t) {
  return t == 0 ? first.rows() : at_step(later, t - 1);
}

/// Adds the gradients of weight and bias, given that of state weight^T + bias at each step; states are the
/// first, h, and then those of y but its last.
template <FloatingPoint T, class B, class W, class V>
void add_recurrent_gradients(const Tensor<T, B>& d_product, const Tensor<T, B>& h, const Tensor<T, B>& y,
                             const Tensor<T, B>& weight, const Sink<W, B>& d_weight,
                             const Sink<V, B>& d_bias) {
  using Product = kernel_for<ops::Linear, B>;
  if (d_weight) {
    const std::int64_t batch = y.dim(1), later = (y.dim(0) - 1) * batch;
    with_wide_sink<acc_t<T>>(d_weight, [&](const auto& wide) {
      Gradient<Rows<acc_t<T>>> sum = wide.rows();
      Product::backward(d_product.rows().slice(0, batch), h.rows(), weight.rows(), Gradient<Rows<T>>{}, sum);
      sum.fresh = false;
      if (later == 0) return;
      Product::backward(d_product.rows().slice(batch, later), y.rows().slice(0, later), weight.rows(),
                        Gradient<Rows<T>>{}, sum);
    });
  }
  add_bias_gradient("recurrent", d_bias, d_product, Axes::range(0, 2));
}

}  // namespace detail

/// Gated recurrent units: from the state h, with u = h weight^T + bias and gates side by side in the order
/// r, z, n,
///
///   r = sigmoid(x_r + u_r), z = sigmoid(x_z + u_z), n = tanh(x_n + r u_n), next h = (1 - z) n + z h
///
/// x [time, batch, 3 n], weight [3 n, n], bias [3 n], both tensors or parameters, h [batch, n] -> the states
/// after each step [time, batch, n]. Throws ShapeError if the shapes do not fit or there is no step. Cho et
/// al. 2014, in the variant of cuDNN and PyTorch.
template <FloatingPoint T, class B, std::derived_from<Tensor<T, B>> Weight,
          std::derived_from<Tensor<T, B>> Bias>
Tensor<T, B> gru(const Tensor<T, B>& x, const Weight& weight, const Bias& bias, const Tensor<T, B>& h) {
  using K = kernel_for<ops::GruCell, B>;
  using Product = kernel_for<ops::Linear, B>;
  detail::check_recurrent("gru", x.shape(), weight.shape(), bias.shape(), 3);
  detail::check_state("gru", "h", h.shape(), x.shape(), weight.shape());
  const std::int64_t time = x.dim(0), batch = x.dim(1), n = h.dim(1);
  auto from = inputs(unread(x), weight, unread(bias), h);
  auto y = Tensor<T, B>::empty({time, batch, n});
  auto saved = Tensor<T, B>::empty({from.wanted ? time : 0, batch, 4 * n});
  auto product = Tensor<T, B>::empty({batch, 3 * n});
  for (std::int64_t t = 0; t < time; ++t) {
    Product::forward(detail::before_step(h, y, t), weight.rows(), {}, product.mutable_rows());
    K::forward(detail::at_step(x, t), std::as_const(product).rows(), bias.vec(), detail::before_step(h, y, t),
               from.wanted ? detail::at_step(saved, t) : Rows<T>{}, detail::at_step(y, t));
  }
  const auto backward = [=, y = y.detach(), dx = sink(x), d_bias = sink(bias)](const Tensor<T, B>& dy) {
    auto d_gates = Tensor<T, B>::empty(dx.shape()), d_product = Tensor<T, B>::empty(dx.shape());
    auto dh = Tensor<T, B>::zeros(h.shape());
    for (std::int64_t t = time; t-- > 0;) {
      K::backward(detail::at_step(dy, t), detail::before_step(h, y, t), detail::at_step(saved, t),
                  dh.mutable_rows(), detail::at_step(d_gates, t), detail::at_step(d_product, t));
      Product::backward(detail::at_step(std::as_const(d_product), t), detail::before_step(h, y, t),
                        weight.rows(), Gradient<Rows<T>>{dh.mutable_rows()}, Gradient<Rows<acc_t<T>>>{});
    }
    accumulate(dx, d_gates);
    detail::add_recurrent_gradients(d_product, h, y, weight, sink(weight), d_bias);
    accumulate(sink(h), dh);
  };
  return record("gru", y, std::move(from), backward);
}

/// Long short-term memory: from the state h and the cell c, with gates x + h weight^T + bias side by side in
/// the order i, f, g, o,
///
///   next c = sigmoid(f) c + sigmoid(i) tanh(g), next h = sigmoid(o) tanh(next c)
///
/// x [time, batch, 4 n], weight [4 n, n], bias [4 n], both tensors or parameters, h and c [batch, n] -> the
/// states after each step [time, batch, n] and the last cell [batch, n]. Throws ShapeError if the shapes do
/// not fit or there is no step. Hochreiter, Schmidhuber 1997; Gers et al. 2000 (forget gates).
template <FloatingPoint T, class B, std::derived_from<Tensor<T, B>> Weight,
          std::derived_from<Tensor<T, B>> Bias>
std::pair<Tensor<T, B>, Tensor<T, B>> lstm(const Tensor<T, B>& x, const Weight& weight, const Bias& bias,
                                           const Tensor<T, B>& h, const Tensor<T, B>& c) {
  using K = kernel_for<ops::LstmCell, B>;
  using Product = kernel_for<ops::Linear, B>;
  detail::check_recurrent("lstm", x.shape(), weight.shape(), bias.shape(), 4);
  detail::check_state("lstm", "h", h.shape(), x.shape(), weight.shape());
  detail::check_state("lstm", "c", c.shape(), x.shape(), weight.shape());
  const std::int64_t time = x.dim(0), batch = x.dim(1), n = h.dim(1);
  auto from = inputs(unread(x), weight, unread(bias), h, c);
  auto y = Tensor<T, B>::empty({time, batch, n});
  auto cells = Tensor<T, B>::empty({time - 1, batch, n}), last = Tensor<T, B>::empty({batch, n});
  auto saved = Tensor<T, B>::empty({from.wanted ? time : 0, batch, 4 * n});
  auto product = Tensor<T, B>::empty({batch, 4 * n});
  for (std::int64_t t = 0; t < time; ++t) {
    Product::forward(detail::before_step(h, y, t), weight.rows(), {}, product.mutable_rows());
    K::forward(detail::at_step(x, t), std::as_const(product).rows(), bias.vec(),
               detail::before_step(c, cells, t), from.wanted ? detail::at_step(saved, t) : Rows<T>{},
               t + 1 < time ? detail::at_step(cells, t) : last.mutable_rows(), detail::at_step(y, t));
  }
  const auto backward = [=, y = y.detach(), last = last.detach(), dx = sink(x), d_bias = sink(bias)](
                            const Tensor<T, B>& d_states, const Tensor<T, B>& d_last) {
    const auto dy = d_states.defined() ? d_states : Tensor<T, B>::zeros(y.shape());
    auto d_gates = Tensor<T, B>::empty(dx.shape());
    auto dh = Tensor<T, B>::zeros(h.shape());
    auto dc = d_last.defined() ? d_last.template to<B>() : Tensor<T, B>::zeros(c.shape());
    for (std::int64_t t = time; t-- > 0;) {
      K::backward(detail::at_step(dy, t), std::as_const(dh).rows(), detail::before_step(c, cells, t),
                  t + 1 < time ? detail::at_step(cells, t) : last.rows(), detail::at_step(saved, t),
                  dc.mutable_rows(), detail::at_step(d_gates, t));
      Product::backward(detail::at_step(std::as_const(d_gates), t), detail::before_step(h, y, t),
                        weight.rows(), Gradient<Rows<T>>{dh.mutable_rows(), true},
                        Gradient<Rows<acc_t<T>>>{});
    }
    detail::add_recurrent_gradients(d_gates, h, y, weight, sink(weight), d_bias);
    accumulate(dx, d_gates);
    accumulate(sink(h), dh);
    accumulate(sink(c), dc);
  };
  return record("lstm", std::pair(y, last), std::move(from), backward);
}

}  // namespace cria
