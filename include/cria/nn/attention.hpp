#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cria/core/check.hpp"
#include "cria/core/parameter.hpp"
#include "cria/nn/input.hpp"
#include "cria/nn/linear.hpp"
#include "cria/ops/attention.hpp"
#include "cria/ops/dot_product_attention.hpp"

namespace cria::nn {

struct MultiHeadAttentionOptions {
  bool bias = true;
  bool causal = false;  // a position sees itself and those before it
};

/// Attention of `heads` heads of width / heads dimensions each, with PyTorch's names: x [batch, length,
/// width] -> the same. attention(x) attends to x itself, attention(x, source) to source [batch, keys, width].
/// Throws ShapeError if the shapes do not fit. Vaswani et al. 2017.
template <FloatingPoint T, class B = DefaultBackend>
struct MultiHeadAttention {
  std::int64_t heads;
  bool causal;
  Parameter<T, B> in_proj_weight;               // [3 width, width], of queries, keys, values
  std::optional<Parameter<T, B>> in_proj_bias;  // [3 width], 0 before training
  Linear<T, B> out_proj;

  MultiHeadAttention(std::int64_t width, std::int64_t head_count,
                     const MultiHeadAttentionOptions& options = {})
      : heads(head_count),
        causal(options.causal),
        in_proj_weight({3 * width, width}),
        out_proj(width, width, {.bias = options.bias}) {
    check::option(heads >= 1 && width % heads == 0, "MultiHeadAttention", "heads", heads,
                  "it must be a divisor of the width, " + std::to_string(width));
    if (options.bias) in_proj_bias.emplace(Shape{3 * width}, 0.0);
  }
  template <class From, class Source>
  explicit MultiHeadAttention(const MultiHeadAttention<From, Source>& other)
      : heads(other.heads),
        causal(other.causal),
        in_proj_weight(other.in_proj_weight),
        in_proj_bias(other.in_proj_bias),
        out_proj(other.out_proj) {}

  Tensor<T, B> operator()(const Tensor<T, B>& x) const {
    check_input("x", x);
    const std::int64_t batch = x.dim(0), length = x.dim(1), dim = width() / heads;
    const auto all = project(x, 0, 3);
    if (causal) {
      const HeadsPart<T, B> part(reshape(all, {batch, length, 3 * heads, dim}));
      return merged(attention(part.heads(0, heads), part.heads(heads, heads), part.heads(2 * heads, heads)));
    }
    const auto split = permute(reshape(all, {batch, length, 3, heads, dim}), {2, 0, 3, 1, 4});
    return joined(
        scaled_dot_product_attention(select(split, 0, 0), select(split, 0, 1), select(split, 0, 2)));
  }
  Tensor<T, B> operator()(const Tensor<T, B>& x, const Tensor<T, B>& source) const {
    check_input("x", x);
    check_input("source", source);
    if (causal) {
      const HeadsPart<T, B> q(reshape(project(x, 0, 1), in_heads(x, heads)));
      const HeadsPart<T, B> kv(reshape(project(source, 1, 2), in_heads(source, 2 * heads)));
      return merged(attention(q, kv.heads(0, heads), kv.heads(heads, heads)));
    }
    return joined(scaled_dot_product_attention(projected(x, 0), projected(source, 1), projected(source, 2)));
  }
  /// The same where a query does not see the keys that `hidden` says, which is broadcast to [batch, heads,
  /// length, keys]: [batch, 1, 1, keys] for keys that pad a sequence. Throws ConfigError if the attention is
  /// causal.
  Tensor<T, B> operator()(const Tensor<T, B>& x, const Tensor<T, B>& source,
                          const Tensor<bool, B>& hidden) const {
    check_input("x", x);
    check_input("source", source);
    if (causal) {
      throw ConfigError(
          "MultiHeadAttention: causal is true and there is a mask; it must be one of both, so let the mask "
          "hide what comes later, too");
    }
    return joined(
        scaled_dot_product_attention(projected(x, 0), projected(source, 1), projected(source, 2), hidden));
  }
  template <class Given, class Place>
  Tensor<T, B> operator()(const Tensor<Given, Place>& x) const {
    return detail::refuse_input<T, B>(x);
  }

  static void visit(auto& self, auto&& field) {
    field("in_proj_weight", self.in_proj_weight);
    field("in_proj_bias", self.in_proj_bias);
    field("out_proj", self.out_proj);
  }

 private:
  std::int64_t width() const { return in_proj_weight.dim(1); }
  void check_input(std::string_view name, const Tensor<T, B>& x) const {
    check::rank("MultiHeadAttention", {name, x.shape()}, 3);
    check::equal_dims("MultiHeadAttention", {name, x.shape()}, -1, {"in_proj_weight", in_proj_weight.shape()},
                      -1);
  }
  Shape in_heads(const Tensor<T, B>& x, std::int64_t count) const {
    return {x.dim(0), x.dim(1), count, width() / heads};
  }

  /// The products of x with some of the three projections, side by side.
  Tensor<T, B> project(const Tensor<T, B>& x, std::int64_t first, std::int64_t count) const {
    if (count == 3) {
      return in_proj_bias ? linear(x, in_proj_weight, *in_proj_bias) : linear(x, in_proj_weight);
    }
    const auto part = [&](const Tensor<T, B>& all) {
      return slice(all, 0, first * width(), (first + count) * width());
    };
    return in_proj_bias ? linear(x, part(in_proj_weight), part(*in_proj_bias))
                        : linear(x, part(in_proj_weight));
  }
  /// One of them as [batch, heads, length, dim].
  Tensor<T, B> projected(const Tensor<T, B>& x, std::int64_t which) const {
    return transpose(reshape(project(x, which, 1), in_heads(x, heads)), 1, 2);
  }
  /// y [batch, length, heads, dim], or [batch, heads, length, dim], through the last projection.
  Tensor<T, B> merged(const Tensor<T, B>& y) const {
    return out_proj(reshape(y, {y.dim(0), y.dim(1), width()}));
  }
  Tensor<T, B> joined(const Tensor<T, B>& y) const { return merged(transpose(y, 1, 2)); }
};

}  // namespace cria::nn
