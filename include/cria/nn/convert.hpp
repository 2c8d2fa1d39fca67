#pragma once
/// Whole modules in another type or on another backend.
///
/// A module of one's own can be converted if it is a class template of these two, M<T, B>, or of the type
/// alone, with a constructor from itself of others, which makes each field of the other's:
///
///   template <class From, class Source>
///   explicit Network(const Network<From, Source>& other) : first(other.first), second(other.second) {}

#include <string>
#include <type_traits>

#include "cria/core/dtype.hpp"
#include "cria/nn/module.hpp"
#include "cria/nn/sequential.hpp"

namespace cria::nn {

namespace detail {

/// The types that `cast` and `to` make of T and B.
template <class To>
struct InType {
  template <class T, class B>
  using parameter = Parameter<To, B>;
};
template <class To>
struct OnBackend {
  template <class T, class B>
  using parameter = Parameter<T, To>;
};

/// M of the types that Way makes of its own. What is no template of them stays as it is.
template <class M, class Way>
struct Converted {
  using type = M;
};
template <template <FloatingPoint, class> class M, FloatingPoint T, class B, class To>
struct Converted<M<T, B>, InType<To>> {
  using type = M<To, B>;
};
template <template <FloatingPoint, class> class M, FloatingPoint T, class B, class To>
struct Converted<M<T, B>, OnBackend<To>> {
  using type = M<T, To>;
};
template <template <FloatingPoint> class M, FloatingPoint T, class To>
struct Converted<M<T>, InType<To>> {
  using type = M<To>;
};
template <class... M, class Way>
struct Converted<Sequential<M...>, Way> {
  using type = Sequential<typename Converted<M, Way>::type...>;
};

/// Refuses parameters that are not of the types that Way makes.
template <class Way>
struct OnlyConverted {
  template <class T, class B>
  void operator()(const std::string&, const Parameter<T, B>&) const {
    static_assert(std::is_same_v<Parameter<T, B>, typename Way::template parameter<T, B>>,
                  "a module of this model has parameters of a fixed type or backend; one that can be "
                  "converted is a class template M<T, B> of both");
  }
  template <class T, class B>
  void operator()(const std::string&, const Buffer<T, B>&) const {}
};

template <class Way, class M>
auto convert(const M& module) {
  using Result = typename Converted<M, Way>::type;
  constexpr bool is_possible = std::is_constructible_v<Result, const M&>;
  static_assert(is_possible,
                "this module cannot be converted: it needs a constructor from itself of another type and "
                "backend, template <class From, class Source> explicit M(const M<From, Source>& other)");
  if constexpr (is_possible) {
    Result result(module);
    for_each_value(result, OnlyConverted<Way>());
    return clone(result);  // what is of one type in both is not to be shared
  }
}

}  // namespace detail

/// `module` with parameters of T: own values, rounded to T, and no gradients; frozen are those that are. A
/// parameter that has two places in the module has one for each in the result. `nn::cast<bfloat16>(model)`.
template <FloatingPoint T, Module M>
auto cast(const M& module) {
  return detail::convert<detail::InType<T>>(module);
}

/// The same on another backend, `nn::to<Cuda>(model)`.
template <class B, Module M>
auto to(const M& module) {
  return detail::convert<detail::OnBackend<B>>(module);
}

}  // namespace cria::nn
