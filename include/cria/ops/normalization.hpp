#pragma once
/// Normalisation: of layers by kernels of its own, of groups and batches composed of reductions and formulas.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "cria/backend/cpu/layer_norm.hpp"
#include "cria/core/buffer.hpp"
#include "cria/ops/reduce.hpp"
#include "cria/ops/reshape.hpp"
#include "cria/ops/softmax.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/layer_norm.cuh"
#endif

namespace cria {

struct BatchNormOptions {
  /// Whether the batch's own mean and variance are used, and the running ones follow them.
  bool training = true;
  /// How much of the batch's enters the running ones.
  double momentum = 0.1;
  double eps = 1e-5;
};

namespace ops {
/// 1 / sqrt(variance + eps)
template <class A>
struct InverseDeviation {
  A eps;
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(auto variance) const { return rsqrt(variance + eps); }
};
CRIA_FORMULA(Normalize, (auto x, auto mean, auto r, auto weight, auto bias), (x - mean) * r * weight + bias)
CRIA_FORMULA(NormalizedTimes, (auto dy, auto x, auto mean, auto r), dy*(x - mean) * r)
CRIA_FORMULA(NormalizedTimesWeight, (auto dy, auto x, auto mean, auto r, auto weight),
             dy* weight*(x - mean) * r)
/// With g = dy weight and the normalised h = (x - mean) r: r (g - mean of g - h * mean of g h).
template <class A>
struct NormalizeGradient {
  A factor;  // 1 / n
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(auto dy, auto x, auto mean, auto r, auto weight, auto sum_g,
                                               auto sum_gh) const {
    return r * (dy * weight - factor * (sum_g + (x - mean) * r * sum_gh));
  }
};
/// running + momentum (batch's - running)
template <class A>
struct Follow {
  A momentum;
  A scale;
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(auto running, auto of_batch) const {
    return running + momentum * (scale * of_batch - running);
  }
};
}  // namespace ops

namespace detail {

/// The mean and the variance of x, in acc_t<T>, the dimensions being kept.
template <class A, class B>
struct Moments {
  Tensor<A, B> mean;
  Tensor<A, B> variance;
};
template <FloatingPoint T, class B>
Moments<acc_t<T>, B> moments(const Tensor<T, B>& x, const Reduced& shapes) {
  using A = acc_t<T>;
  const A factor = A(1) / static_cast<A>(shapes.count);
  auto mean = reduce<A>(ops::Total{}, ops::Identity{}, shapes.keeping(), x);
  map_in_place(ops::Scale<A>{factor}, mean);
  return {mean, reduce<A>(ops::Total{}, ops::SquaredDistance<A>{factor}, shapes.keeping(), x, mean)};
}

/// The gradients of a norm's weight and bias, which are repeated where their dimensions are 1.
template <FloatingPoint T, class B>
void add_affine_gradients(const Tensor<T, B>& dy, const Tensor<T, B>& x, Reduced shapes,
                          const Tensor<acc_t<T>, B>& mean, const Tensor<acc_t<T>, B>& r,
                          const Sink<T, B>& d_weight, const Sink<T, B>& d_bias) {
  using A = acc_t<T>;
  shapes.kept = d_bias.shape();
  if (d_bias) accumulate(d_bias, reduce<A>(ops::Total{}, ops::Identity{}, shapes.keeping(), dy));
  if (d_weight) {
    accumulate(d_weight, reduce<A>(ops::Total{}, ops::NormalizedTimes{}, shapes.keeping(), dy, x, mean, r));
  }
}

/// (x - mean) / sqrt(variance + eps) * weight + bias, with the moments over some dimensions, of x or, without
/// `moments_of_x`, of something else; weight and bias have as many dimensions as x, and are repeated where
/// theirs are 1.
template <FloatingPoint T, class B>
Tensor<T, B> normalize(std::string_view op, const Tensor<T, B>& x, const Reduced& shapes,
                       const Moments<acc_t<T>, B>& by, const Tensor<T, B>& weight, const Tensor<T, B>& bias,
                       double eps, bool moments_of_x = true) {
  using A = acc_t<T>;
  const auto mean = by.mean;
  const auto r = mapped<A>(ops::InverseDeviation<A>{static_cast<A>(eps)}, shapes.kept, by.variance);
  const auto y = mapped<T>(ops::Normalize{}, x.shape(), x, mean, r, weight, bias);
  return record(op, y, inputs(x, weight, unread(bias)), [=, d_bias = sink(bias)](const Tensor<T, B>& dy) {
    add_affine_gradients(dy, x, shapes, mean, r, sink(weight), d_bias);
    if (const auto dx = sink(x)) {
      const auto sum_g = reduce<A>(ops::Total{}, ops::Multiply{}, shapes.keeping(), dy, weight);
      const auto sum_gh =
          reduce<A>(ops::Total{}, ops::NormalizedTimesWeight{}, shapes.keeping(), dy, x, mean, r, weight);
      const A factor = moments_of_x ? A(1) / static_cast<A>(shapes.count) : A(0);
      accumulate_formula(dx, x.shape(), ops::NormalizeGradient<A>{factor}, dy, x, mean, r, weight, sum_g,
                         sum_gh);
    }
  });
}

/// x is [n, channels, ...], and a vector has a number for each channel.
inline void check_channels(std::string_view op, const Shape& x, const check::Named& vector) {
  check::rank_at_least(op, {"x", x}, 2);
  check::rank(op, vector, 1);
  check::equal_dims(op, {"x", x}, 1, vector, 0);
}

/// A vector of `channels` as [1, channels, 1, ...] for x [n, channels, ...].
template <FloatingPoint T, class B>
Tensor<T, B> along_channels(std::string_view op, std::string_view name, const Tensor<T, B>& x,
                            const Tensor<T, B>& vector) {
  check_channels(op, x.shape(), {name, vector.shape()});
  std::array<std::int64_t, Shape::max_rank> dims;
  dims.fill(1);
  dims[1] = vector.size();
  return reshape(vector, Shape(std::span(dims.data(), static_cast<std::size_t>(x.rank()))));
}

}  // namespace detail

/// y = (x - mean) / sqrt(variance + eps) * weight + bias, with the mean and variance of each element's
/// neighbours along the last dimensions, those of weight and bias: x [..., n], weight [n], bias [n] -> [...,
/// n]. Throws ShapeError if they do not fit or have no elements, ConfigError for a negative eps. Ba, Kiros,
/// Hinton 2016.
template <FloatingPoint T, class B>
Tensor<T, B> layer_norm(const Tensor<T, B>& x, const std::type_identity_t<Tensor<T, B>>& weight,
                        const std::type_identity_t<Tensor<T, B>>& bias, double eps = 1e-5) {
  check::not_negative("layer_norm", "eps", eps);
  check::same_shape("layer_norm", {"weight", weight.shape()}, {"bias", bias.shape()});
  const int first = x.rank() - weight.rank();
  bool fits = first >= 0 && weight.rank() > 0;
  for (int axis = 0; fits && axis < weight.rank(); ++axis) fits = weight.dim(axis) == x.dim(first + axis);
  if (!fits) {
    throw ShapeError("layer_norm: x is " + to_string(x.shape()) + " and weight is " +
                     to_string(weight.shape()) + "; weight must have the last dimensions of x");
  }
  const detail::Reduced shapes("layer_norm", x.shape(), Axes::range(first, x.rank()), true);
  shapes.check_more_than(0, "layer_norm", x.shape());
  using A = acc_t<T>;
  using K = kernel_for<ops::LayerNorm, B>;
  const auto as_rows = [rows = shapes.kept.size(), cols = shapes.count](auto all) {
    return Rows<std::remove_pointer_t<decltype(all.data)>>{all.data, rows, cols};
  };
  auto y = Tensor<T, B>::empty(x.shape());
  auto mean = Tensor<A, B>::empty(shapes.kept), r = Tensor<A, B>::empty(shapes.kept);
  K::forward(as_rows(x.vec()), weight.vec(), bias.vec(), static_cast<A>(eps), as_rows(y.mutable_vec()),
             mean.mutable_vec(), r.mutable_vec());
  return record("layer_norm", y, inputs(x, weight, unread(bias)),
                [=, d_bias = sink(bias)](const Tensor<T, B>& dy) {
                  detail::add_affine_gradients(dy, x, shapes, mean, r, sink(weight), d_bias);
                  if (const auto dx = sink(x).vec()) {
                    K::backward(as_rows(dy.vec()), as_rows(x.vec()), weight.vec(), mean.vec(), r.vec(),
                                Gradient<Rows<T>>{as_rows(dx), dx.fresh});
                  }
                });
}

/// The same with the mean and variance of each group of channels: x [n, channels, ...], weight [channels],
/// bias [channels]. Throws ShapeError if they do not fit, or `groups` does not divide the channels. Wu, He
/// 2018.
template <FloatingPoint T, class B>
Tensor<T, B> group_norm(const Tensor<T, B>& x, std::int64_t groups,
                        const std::type_identity_t<Tensor<T, B>>& weight,
                        const std::type_identity_t<Tensor<T, B>>& bias, double eps = 1e-5) {
  check::not_negative("group_norm", "eps", eps);
  check::option(groups >= 1, "group_norm", "groups", groups, "it must be at least 1");
  detail::along_channels("group_norm", "weight", x, weight);
  detail::along_channels("group_norm", "bias", x, bias);
  check::divisible("group_norm", {"x", x.shape()}, 1, "groups", groups);
  const std::int64_t channels = x.dim(1), each = channels / groups;
  const auto grouped = reshape(x, {x.dim(0), groups, each, x.shape().product(2, x.rank())});
  const detail::Reduced shapes("group_norm", grouped.shape(), {2, 3}, true);
  shapes.check_more_than(0, "group_norm", x.shape());
  const Shape affine{1, groups, each, 1};
  return reshape(detail::normalize("group_norm", grouped, shapes, detail::moments(grouped, shapes),
                                   reshape(weight, affine), reshape(bias, affine), eps),
                 x.shape());
}

/// The same with the mean and variance of each channel over the batch, or the running ones where
/// options.training is false: x [n, channels, ...], all others [channels]. In training the running ones
/// follow: running += momentum (batch's - running), with the variance's estimate for more than the sample (n
/// - 1); once, also inside of nn::recompute. Throws ShapeError if the shapes do not fit. Ioffe, Szegedy 2015.
template <FloatingPoint T, class B>
Tensor<T, B> batch_norm(const Tensor<T, B>& x, const std::type_identity_t<Tensor<T, B>>& weight,
                        const std::type_identity_t<Tensor<T, B>>& bias, Buffer<acc_t<T>, B>& running_mean,
                        Buffer<acc_t<T>, B>& running_variance, const BatchNormOptions& options = {}) {
  using A = acc_t<T>;
  check::not_negative("batch_norm", "eps", options.eps);
  check::option(options.momentum >= 0 && options.momentum <= 1, "batch_norm", "momentum", options.momentum,
                "it must be in [0, 1]");
  const auto w = detail::along_channels("batch_norm", "weight", x, weight);
  const auto b = detail::along_channels("batch_norm", "bias", x, bias);
  detail::check_channels("batch_norm", x.shape(), {"running_mean", running_mean.shape()});
  detail::check_channels("batch_norm", x.shape(), {"running_variance", running_variance.shape()});
  const detail::Reduced shapes("batch_norm", x.shape(), Axes::all_but(1, x.rank()), true);
  if (!options.training) {
    const detail::Moments<A, B> running{detail::share_values(running_mean.value(), shapes.kept),
                                        detail::share_values(running_variance.value(), shapes.kept)};
    return detail::normalize("batch_norm", x, shapes, running, w, b, options.eps, false);
  }
  shapes.check_more_than(1, "batch_norm", x.shape());
  const auto batch = detail::moments(x, shapes);
  if (!is_recomputing()) {
    const auto momentum = static_cast<A>(options.momentum), n = static_cast<A>(shapes.count);
    detail::map_in_place(ops::Follow<A>{momentum, A(1)}, running_mean.value(),
                         detail::share_values(batch.mean, running_mean.shape()));
    detail::map_in_place(ops::Follow<A>{momentum, n / (n - 1)}, running_variance.value(),
                         detail::share_values(batch.variance, running_variance.shape()));
  }
  return detail::normalize("batch_norm", x, shapes, batch, w, b, options.eps);
}

}  // namespace cria
