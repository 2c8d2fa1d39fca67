#pragma once
/// A transformer's blocks, which normalise before each branch (Xiong et al. 2020), with PyTorch's names.
/// (Llama's are in nn/llama.hpp.)

#include <cstdint>

#include "cria/nn/attention.hpp"
#include "cria/nn/dropout.hpp"
#include "cria/nn/input.hpp"
#include "cria/nn/linear.hpp"
#include "cria/nn/normalization.hpp"
#include "cria/ops/elementwise.hpp"

namespace cria::nn {

struct TransformerEncoderOptions {
  std::int64_t feed_forward = 0;  // its inner width; 0: 4 times the block's
  float dropout = 0.0f;           // of what each branch adds, and inside of the feed-forward network
  bool causal = false;            // a position sees itself and those before it
};
struct TransformerDecoderOptions {
  std::int64_t feed_forward = 0;
  float dropout = 0.0f;
};

namespace detail {
/// linear2(gelu(linear1(x))), by the names that a block gives to its two.
template <FloatingPoint T, class B>
Tensor<T, B> feed_forward(const Linear<T, B>& linear1, const Linear<T, B>& linear2, const Dropout& dropout,
                          const Tensor<T, B>& x) {
  return linear2(dropout(gelu(linear1(x))));
}
inline std::int64_t inner_width(std::int64_t width, std::int64_t feed_forward) {
  return feed_forward == 0 ? 4 * width : feed_forward;
}
}  // namespace detail

/// x = x + self_attn(norm1(x)), then x + linear2(gelu(linear1(norm2(x)))). x [batch, length, width] -> the
/// same; block(x, hidden) with a mask as MultiHeadAttention's.
template <FloatingPoint T, class B = DefaultBackend>
struct TransformerEncoderBlock {
  MultiHeadAttention<T, B> self_attn;
  Linear<T, B> linear1, linear2;
  LayerNorm<T, B> norm1, norm2;
  Dropout dropout;

  TransformerEncoderBlock(std::int64_t width, std::int64_t heads,
                          const TransformerEncoderOptions& options = {})
      : self_attn(width, heads, {.causal = options.causal}),
        linear1(width, detail::inner_width(width, options.feed_forward), {.bias = true}),
        linear2(detail::inner_width(width, options.feed_forward), width, {.bias = true}),
        norm1(width),
        norm2(width),
        dropout{options.dropout} {}
  template <class From, class Source>
  explicit TransformerEncoderBlock(const TransformerEncoderBlock<From, Source>& other)
      : self_attn(other.self_attn),
        linear1(other.linear1),
        linear2(other.linear2),
        norm1(other.norm1),
        norm2(other.norm2),
        dropout(other.dropout) {}

  Tensor<T, B> operator()(const Tensor<T, B>& x) const { return rest(x, self_attn(norm1(x))); }
  Tensor<T, B> operator()(const Tensor<T, B>& x, const Tensor<bool, B>& hidden) const {
    const auto normed = norm1(x);
    return rest(x, self_attn(normed, normed, hidden));
  }
  template <class Given, class Place>
  Tensor<T, B> operator()(const Tensor<Given, Place>& x) const {
    return detail::refuse_input<T, B>(x);
  }

  static void visit(auto& self, auto&& field) {
    field("self_attn", self.self_attn);
    field("linear1", self.linear1);
    field("linear2", self.linear2);
    field("norm1", self.norm1);
    field("norm2", self.norm2);
  }

 private:
  Tensor<T, B> rest(const Tensor<T, B>& x, const Tensor<T, B>& attended) const {
    const auto y = x + dropout(attended);
    return y + dropout(detail::feed_forward(linear1, linear2, dropout, norm2(y)));
  }
};

/// x = x + self_attn(norm1(x)), which is causal, x = x + multihead_attn(norm2(x), source), then x +
/// linear2(gelu(linear1(norm3(x)))). x [batch, length, width], source [batch, keys, width], an encoder's
/// output -> x's shape; block(x, source, hidden) with a mask of source as MultiHeadAttention's.
template <FloatingPoint T, class B = DefaultBackend>
struct TransformerDecoderBlock {
  MultiHeadAttention<T, B> self_attn, multihead_attn;
  Linear<T, B> linear1, linear2;
  LayerNorm<T, B> norm1, norm2, norm3;
  Dropout dropout;

  TransformerDecoderBlock(std::int64_t width, std::int64_t heads,
                          const TransformerDecoderOptions& options = {})
      : self_attn(width, heads, {.causal = true}),
        multihead_attn(width, heads),
        linear1(width, detail::inner_width(width, options.feed_forward), {.bias = true}),
        linear2(detail::inner_width(width, options.feed_forward), width, {.bias = true}),
        norm1(width),
        norm2(width),
        norm3(width),
        dropout{options.dropout} {}
  template <class From, class Source>
  explicit TransformerDecoderBlock(const TransformerDecoderBlock<From, Source>& other)
      : self_attn(other.self_attn),
        multihead_attn(other.multihead_attn),
        linear1(other.linear1),
        linear2(other.linear2),
        norm1(other.norm1),
        norm2(other.norm2),
        norm3(other.norm3),
        dropout(other.dropout) {}

  Tensor<T, B> operator()(const Tensor<T, B>& x, const Tensor<T, B>& source) const {
    return run(x, [&](const Tensor<T, B>& q) { return multihead_attn(q, source); });
  }
  Tensor<T, B> operator()(const Tensor<T, B>& x, const Tensor<T, B>& source,
                          const Tensor<bool, B>& hidden) const {
    return run(x, [&](const Tensor<T, B>& q) { return multihead_attn(q, source, hidden); });
  }

  static void visit(auto& self, auto&& field) {
    field("self_attn", self.self_attn);
    field("multihead_attn", self.multihead_attn);
    field("linear1", self.linear1);
    field("linear2", self.linear2);
    field("norm1", self.norm1);
    field("norm2", self.norm2);
    field("norm3", self.norm3);
  }

 private:
  template <class F>
  Tensor<T, B> run(const Tensor<T, B>& x, F attend) const {
    const auto a = x + dropout(self_attn(norm1(x)));
    const auto b = a + dropout(attend(norm2(a)));
    return b + dropout(detail::feed_forward(linear1, linear2, dropout, norm3(b)));
  }
};

}  // namespace cria::nn
