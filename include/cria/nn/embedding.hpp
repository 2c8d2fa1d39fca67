#pragma once

#include <cstdint>

#include "cria/core/parameter.hpp"
#include "cria/nn/input.hpp"
#include "cria/ops/embedding.hpp"

namespace cria::nn {

/// One trained vector per token. tokens [...] -> [..., dim]; weight [vocab, dim].
template <FloatingPoint T, class B = DefaultBackend>
struct Embedding {
  Parameter<T, B> weight;  // [vocab, dim]

  Embedding(std::int64_t vocab, std::int64_t dim) : weight({vocab, dim}) {}
  template <class From, class Source>
  explicit Embedding(const Embedding<From, Source>& other) : weight(other.weight) {}

  Tensor<T, B> operator()(const Tensor<std::int32_t, B>& tokens) const { return embedding(tokens, weight); }
  template <class Given, class Place>
  Tensor<T, B> operator()(const Tensor<Given, Place>& tokens) const {
    return detail::refuse_tokens<B>(tokens);
  }

  static void visit(auto& self, auto&& field) { field("weight", self.weight); }
};

}  // namespace cria::nn
