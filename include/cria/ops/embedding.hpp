#pragma once

#include "cria/core/check.hpp"
#include "cria/core/kernel.hpp"
#include "cria/core/parameter.hpp"

namespace cria {

namespace ops {
/// kernel: forward(tokens [n], weight [vocab, dim], y [n, dim]) y = weight[tokens]; backward(dy, tokens,
/// dweight). forward throws ShapeError for a token outside the vocabulary, where the backend can see it.
struct Embedding;
}  // namespace ops

/// The rows of weight that the tokens name. tokens [...], weight [vocab, dim] -> [..., dim].
/// Throws ShapeError for a token that is not in [0, vocab).
template <FloatingPoint T, class B>
Tensor<T, B> embedding(const Tensor<std::int32_t, B>& tokens, const Parameter<T, B>& weight) {
  using K = kernel_for<ops::Embedding, B>;
  check::rank("embedding", {"weight", weight.shape()}, 2);
  std::vector<std::int64_t> dims(tokens.shape().begin(), tokens.shape().end());
  dims.push_back(weight.shape().dim(1));
  auto y = Tensor<T, B>::empty(Shape(dims));
  K::forward(tokens.vec(), weight.rows(), y.mutable_rows());
  return record("embedding", y, inputs(unread(weight), tokens), [=](const Tensor<T, B>& dy) {
    K::backward(dy.rows(), tokens.vec(), detail::grad_rows(weight));
  });
}

}  // namespace cria

#include "cria/backend/cpu/embedding.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/embedding.cuh"
#endif
