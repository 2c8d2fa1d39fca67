#pragma once
/// Convolutions and pooling as modules.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cria/core/check.hpp"
#include "cria/core/parameter.hpp"
#include "cria/nn/input.hpp"
#include "cria/ops/convolution.hpp"
#include "cria/ops/pooling.hpp"

namespace cria::nn {

namespace detail {
/// `groups`, which divides the channels. Throws ConfigError if it does not.
inline std::int64_t checked_groups(std::string_view layer, std::int64_t in, std::int64_t groups) {
  check::option(groups >= 1 && in % groups == 0, layer, "groups", groups,
                "it must be a divisor of the channels, " + std::to_string(in));
  return groups;
}
}  // namespace detail

struct Conv2dOptions {
  Size2d stride = 1;
  Size2d padding = 0;  // zeros around the image
  Size2d dilation = 1;
  std::int64_t groups = 1;
  bool bias = true;
};

/// conv2d of images [n, in, h, w] -> [n, out, ...] (ops/convolution.hpp). The kernel is {height, width} or
/// one number for both: Conv2d<float>(3, 8, 5, {.padding = 2}).
template <FloatingPoint T, class B = DefaultBackend>
struct Conv2d {
  Parameter<T, B> weight;               // [out, in / groups, kh, kw]
  std::optional<Parameter<T, B>> bias;  // [out], 0 before training
  cria::Conv2dOptions options;

  Conv2d(std::int64_t in, std::int64_t out, const Size2d& kernel, const Conv2dOptions& more = {})
      : weight({out, in / detail::checked_groups("Conv2d", in, more.groups), kernel.height, kernel.width}),
        options{more.stride, more.padding, more.dilation, more.groups} {
    if (more.bias) bias.emplace(Shape{out}, 0.0);
  }
  template <class From, class Source>
  explicit Conv2d(const Conv2d<From, Source>& other)
      : weight(other.weight), bias(other.bias), options(other.options) {}

  Tensor<T, B> operator()(const Tensor<T, B>& x) const {
    return bias ? conv2d(x, weight, *bias, options) : conv2d(x, weight, options);
  }
  template <class Given, class Place>
  Tensor<T, B> operator()(const Tensor<Given, Place>& x) const {
    return detail::refuse_input<T, B>(x);
  }

  static void visit(auto& self, auto&& field) {
    field("weight", self.weight);
    field("bias", self.bias);
  }
};

struct Conv1dOptions {
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  std::int64_t dilation = 1;
  std::int64_t groups = 1;
  bool bias = true;
};

/// conv1d of signals [n, in, length] -> [n, out, ...].
template <FloatingPoint T, class B = DefaultBackend>
struct Conv1d {
  Parameter<T, B> weight;               // [out, in / groups, k]
  std::optional<Parameter<T, B>> bias;  // [out], 0 before training
  cria::Conv1dOptions options;

  Conv1d(std::int64_t in, std::int64_t out, std::int64_t kernel, const Conv1dOptions& more = {})
      : weight({out, in / detail::checked_groups("Conv1d", in, more.groups), kernel}),
        options{more.stride, more.padding, more.dilation, more.groups} {
    if (more.bias) bias.emplace(Shape{out}, 0.0);
  }
  template <class From, class Source>
  explicit Conv1d(const Conv1d<From, Source>& other)
      : weight(other.weight), bias(other.bias), options(other.options) {}

  Tensor<T, B> operator()(const Tensor<T, B>& x) const {
    return bias ? conv1d(x, weight, *bias, options) : conv1d(x, weight, options);
  }
  template <class Given, class Place>
  Tensor<T, B> operator()(const Tensor<Given, Place>& x) const {
    return detail::refuse_input<T, B>(x);
  }

  static void visit(auto& self, auto&& field) {
    field("weight", self.weight);
    field("bias", self.bias);
  }
};

/// The greatest of each window of an image.
struct MaxPool2d {
  Size2d kernel;
  Pool2dOptions options = {};

  template <FloatingPoint T, class B>
  Tensor<T, B> operator()(const Tensor<T, B>& x) const {
    return max_pool2d(x, kernel, options);
  }
  static void visit(auto&, auto&&) {}
};

/// The mean of each window of an image.
struct AvgPool2d {
  Size2d kernel;
  Pool2dOptions options = {};

  template <FloatingPoint T, class B>
  Tensor<T, B> operator()(const Tensor<T, B>& x) const {
    return avg_pool2d(x, kernel, options);
  }
  static void visit(auto&, auto&&) {}
};

/// [n, ...] -> [n, all others]: between convolutions and Linear.
struct Flatten {
  template <FloatingPoint T, class B>
  Tensor<T, B> operator()(const Tensor<T, B>& x) const {
    return flatten(x, 1);
  }
  static void visit(auto&, auto&&) {}
};

}  // namespace cria::nn
