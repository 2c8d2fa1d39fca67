#pragma once

#include <string>
#include <tuple>
#include <utility>

#include "cria/ops/elementwise.hpp"

namespace cria::nn {

/// max(x, 0) as a module.
struct Relu {
  template <FloatingPoint T, class B>
  Tensor<T, B> operator()(const Tensor<T, B>& x) const {
    return relu(x);
  }
  static void visit(auto&, auto&&) {}
};

/// Modules one after the other: Sequential{a, b}(x) = b(a(x)). They are named 0, 1, ...
template <class... M>
struct Sequential {
  std::tuple<M...> modules;

  explicit Sequential(M... m) : modules(std::move(m)...) {}

  auto operator()(const auto& x) const {
    return std::apply([&](const auto&... m) { return apply(x, m...); }, modules);
  }

  static void visit(auto& self, auto&& field) {
    std::size_t index = 0;
    std::apply([&](auto&... m) { (field(std::to_string(index++), m), ...); }, self.modules);
  }

 private:
  static auto apply(const auto& x, const auto& first, const auto&... rest) {
    if constexpr (sizeof...(rest) == 0) {
      return first(x);
    } else {
      return apply(first(x), rest...);
    }
  }
};

}  // namespace cria::nn
