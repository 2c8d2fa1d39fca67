#pragma once

#include <concepts>
#include <cstdint>
#include <vector>

#include "cria/backend/cpu/embedding.hpp"
#include "cria/core/check.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/accumulate.hpp"
#include "cria/ops/refused.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/embedding.cuh"
#endif

namespace cria {

/// The rows of weight, a tensor or a parameter, that the tokens name. tokens [...], weight [vocab, dim] ->
/// [..., dim]. Throws ShapeError for a token that is not in [0, vocab).
template <class B, class Weight, FloatingPoint T = typename Weight::value_type>
requires std::derived_from<Weight, Tensor<T, B>> Tensor<T, B> embedding(const Tensor<std::int32_t, B>& tokens,
                                                                        const Weight& weight) {
  using K = kernel_for<ops::Embedding, B>;
  check::rank("embedding", {"weight", weight.shape()}, 2);
  std::vector<std::int64_t> dims(tokens.shape().begin(), tokens.shape().end());
  dims.push_back(weight.shape().dim(1));
  auto y = Tensor<T, B>::empty(Shape(dims));
  K::forward(tokens.vec(), weight.rows(), y.mutable_rows());
  return record("embedding", y, inputs(unread(weight), tokens),
                [tokens, dweight = sink(weight)](const Tensor<T, B>& dy) {
                  with_wide_sink<acc_t<T>>(
                      dweight, [&](const auto& wide) { K::backward(dy.rows(), tokens.vec(), wide.rows()); });
                });
}

template <class I, class B, class T, class Place>
requires(!std::is_same_v<I, std::int32_t>) Tensor<T, Place> embedding(const Tensor<I, B>&,
                                                                      const Tensor<T, Place>&) {
  detail::refuse_indices<I>();
  return {};
}

}  // namespace cria
