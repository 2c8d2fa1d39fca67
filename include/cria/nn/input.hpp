#pragma once

#include <cstdint>
#include <type_traits>

#include "cria/core/tensor.hpp"

namespace cria::nn::detail {

/// Stands for a result that there is not.
struct NoResult {
  template <class Result>
  operator Result() const;
};

/// What a layer of T on backend B gives for a tensor of another type or backend: a sentence from the compiler
/// in the place of a list of what it could have been.
template <class T, class B, class Given, class Place>
NoResult refuse_input(const Tensor<Given, Place>&) {
  static_assert(
      FloatingPoint<Given>,
      "this layer takes floating-point numbers and is given integers or a mask: cast<float>(x) makes "
      "numbers of them, and nn::Embedding vectors of tokens");
  static_assert(!FloatingPoint<Given> || std::is_same_v<Given, T>,
                "the tensor is not of the layer's element type: cast<T>(x) brings a tensor to another type, "
                "nn::cast<T>(module) a module");
  static_assert(
      std::is_same_v<Place, B>,
      "the tensor is not on the layer's backend: x.to<Backend>() brings a tensor to another backend, "
      "nn::to<Backend>(module) a module");
  return {};
}

/// The same for a layer that takes tokens.
template <class B, class Given, class Place>
NoResult refuse_tokens(const Tensor<Given, Place>&) {
  static_assert(std::is_same_v<Given, std::int32_t>,
                "this layer takes tokens, a Tensor<std::int32_t>: cast<std::int32_t>(x) makes them of other "
                "numbers");
  static_assert(std::is_same_v<Place, B>,
                "the tokens are not on the layer's backend: x.to<Backend>() brings a tensor to another "
                "backend, nn::to<Backend>(module) a module");
  return {};
}

}  // namespace cria::nn::detail
