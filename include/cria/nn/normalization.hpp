#pragma once
/// Norms as modules, with weight 1 and bias 0 before training.

#include <cstdint>
#include <string>

#include "cria/core/buffer.hpp"
#include "cria/core/check.hpp"
#include "cria/core/parameter.hpp"
#include "cria/nn/input.hpp"
#include "cria/ops/normalization.hpp"

namespace cria::nn {

/// layer_norm over the last dimensions of x, whose shape is that of weight and bias. Ba et al. 2016.
template <FloatingPoint T, class B = DefaultBackend>
struct LayerNorm {
  Parameter<T, B> weight, bias;
  double eps;

  explicit LayerNorm(const Shape& shape, double epsilon = 1e-5)
      : weight(shape, 1.0), bias(shape, 0.0), eps(epsilon) {}
  explicit LayerNorm(std::int64_t n, double epsilon = 1e-5) : LayerNorm(Shape{n}, epsilon) {}
  template <class From, class Source>
  explicit LayerNorm(const LayerNorm<From, Source>& other)
      : weight(other.weight), bias(other.bias), eps(other.eps) {}

  Tensor<T, B> operator()(const Tensor<T, B>& x) const { return layer_norm(x, weight, bias, eps); }
  template <class Given, class Place>
  Tensor<T, B> operator()(const Tensor<Given, Place>& x) const {
    return detail::refuse_input<T, B>(x);
  }

  static void visit(auto& self, auto&& field) {
    field("weight", self.weight);
    field("bias", self.bias);
  }
};

/// group_norm of x [n, channels, ...]; weight and bias [channels]. Throws ConfigError unless the groups
/// divide the channels. Wu, He 2018.
template <FloatingPoint T, class B = DefaultBackend>
struct GroupNorm {
  std::int64_t groups;
  Parameter<T, B> weight, bias;
  double eps;

  GroupNorm(std::int64_t count, std::int64_t channels, double epsilon = 1e-5)
      : groups(count), weight({channels}, 1.0), bias({channels}, 0.0), eps(epsilon) {
    check::option(count >= 1 && channels % count == 0, "GroupNorm", "groups", count,
                  "it must be a divisor of the channels, " + std::to_string(channels));
  }
  template <class From, class Source>
  explicit GroupNorm(const GroupNorm<From, Source>& other)
      : groups(other.groups), weight(other.weight), bias(other.bias), eps(other.eps) {}

  Tensor<T, B> operator()(const Tensor<T, B>& x) const { return group_norm(x, groups, weight, bias, eps); }
  template <class Given, class Place>
  Tensor<T, B> operator()(const Tensor<Given, Place>& x) const {
    return detail::refuse_input<T, B>(x);
  }

  static void visit(auto& self, auto&& field) {
    field("weight", self.weight);
    field("bias", self.bias);
  }
};

struct BatchNormOptions {
  double momentum = 0.1;  // how much of a batch's moments enters the running ones
  double eps = 1e-5;
};

/// batch_norm of x [n, channels, ...], signals, images or rows; all fields [channels]. While gradients are
/// recorded it takes the batch's moments, and the running ones follow them; under NoGrad (evaluation) it
/// takes the running ones. There is no training flag to forget. Ioffe, Szegedy 2015.
template <FloatingPoint T, class B = DefaultBackend>
struct BatchNorm {
  Parameter<T, B> weight, bias;
  Buffer<acc_t<T>, B> running_mean, running_variance;
  BatchNormOptions options;

  explicit BatchNorm(std::int64_t channels, const BatchNormOptions& more = {})
      : weight({channels}, 1.0),
        bias({channels}, 0.0),
        running_mean({channels}),
        running_variance({channels}, acc_t<T>(1)),
        options(more) {}
  template <class From, class Source>
  explicit BatchNorm(const BatchNorm<From, Source>& other)
      : weight(other.weight),
        bias(other.bias),
        running_mean(other.running_mean),
        running_variance(other.running_variance),
        options(other.options) {}

  Tensor<T, B> operator()(const Tensor<T, B>& x) const {
    auto mean = running_mean;  // which share the values
    auto variance = running_variance;
    return batch_norm(x, weight, bias, mean, variance,
                      {.training = is_recording(), .momentum = options.momentum, .eps = options.eps});
  }
  template <class Given, class Place>
  Tensor<T, B> operator()(const Tensor<Given, Place>& x) const {
    return detail::refuse_input<T, B>(x);
  }

  static void visit(auto& self, auto&& field) {
    field("weight", self.weight);
    field("bias", self.bias);
    field("running_mean", self.running_mean);
    field("running_var", self.running_variance);  // PyTorch's name
  }
};

/// That of images, by PyTorch's name.
template <FloatingPoint T, class B = DefaultBackend>
using BatchNorm2d = BatchNorm<T, B>;

}  // namespace cria::nn
