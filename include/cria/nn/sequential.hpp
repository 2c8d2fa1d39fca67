#pragma once

#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "cria/nn/input.hpp"
#include "cria/nn/module.hpp"

namespace cria::nn {

/// Modules one after the other: Sequential{a, b}(x) = b(a(x)). They are named 0, 1, ... Anything else that
/// can be called with a tensor and has no fields, as a lambda without captures, may stand between them.
template <class... M>
struct Sequential {
  std::tuple<M...> modules;

  explicit Sequential(M... m) : modules(std::move(m)...) {}
  template <class... From>
  requires std::is_constructible_v < std::tuple<M...>,
  const std::tuple<From...>& > explicit Sequential(const Sequential<From...>& other)
      : modules(other.modules) {}

  auto operator()(const auto& x) const {
    return std::apply([&](const auto&... m) { return apply(x, m...); }, modules);
  }

  static void visit(auto& self, auto&& field) {
    std::size_t index = 0;
    const auto visit_one = [&](auto& m) {
      const std::string name = std::to_string(index++);
      if constexpr (Module<std::remove_cvref_t<decltype(m)>>) {
        field(name, m);
      } else {
        static_assert(
            std::is_empty_v<std::remove_cvref_t<decltype(m)>>,
            "a module has a static member `visit` that lists its fields; only what has none, like a "
            "lambda without captures, does without");
      }
    };
    std::apply([&](auto&... m) { (visit_one(m), ...); }, self.modules);
  }

 private:
  static auto apply(const auto& x, const auto& first, const auto&... rest) {
    if constexpr (!std::is_invocable_v<decltype(first), decltype(x)>) {
      static_assert(sizeof(x) == 0,
                    "a module of this Sequential cannot be called with what the one before it gives; Gru and "
                    "Lstm give two results, of which [](const auto& results) { return results.first; } "
                    "between them takes the states after each step");
      return detail::NoResult();
    } else if constexpr (sizeof...(rest) == 0) {
      return first(x);
    } else {
      return apply(first(x), rest...);
    }
  }
};

}  // namespace cria::nn
