#pragma once
/// What operations say to tensors of types that they do not take: a sentence from the compiler in the place
/// of a list of what they could have been given. An operation has an overload beside it for what it does not
/// match itself.

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "cria/core/axes.hpp"
#include "cria/core/tensor.hpp"

namespace cria::detail {

template <class T>
void refuse_integers() {
  static_assert(FloatingPoint<T>,
                "this operation takes floating-point numbers and is given integers or a mask: cast<float>(x) "
                "makes numbers of them");
}

template <class T, class B, class U, class Place>
void refuse_mixed() {
  static_assert(std::is_same_v<T, U>,
                "the tensors are of different element types: cast<T>(x) brings one to that of the other");
  static_assert(std::is_same_v<B, Place>,
                "the tensors are on different backends: x.to<Backend>() brings one to that of the other");
}

template <class T>
void refuse_indices() {
  static_assert(std::is_same_v<T, std::int32_t>,
                "tokens, targets and indices are a Tensor<std::int32_t>: cast<std::int32_t>(x) makes them of "
                "other numbers");
}

/// Of x and the classes of its rows.
template <class T, class B, class U, class Place>
void refuse_classes() {
  refuse_integers<T>();
  if constexpr (FloatingPoint<T>) refuse_indices<U>();
  if constexpr (std::is_same_v<U, std::int32_t>) refuse_mixed<T, B, T, Place>();
}

template <class T, class B, class U, class Place>
inline constexpr bool are_no_classes =
    !FloatingPoint<T> || !std::is_same_v<Tensor<U, Place>, Tensor<std::int32_t, B>>;

template <class T, class B, class U, class Place>
inline constexpr bool are_mixed = !std::is_same_v<Tensor<T, B>, Tensor<U, Place>>;

/// A number that cannot stand beside elements of T.
template <class N, class T>
concept NoNumberBeside =
    std::is_arithmetic_v<N> && !FloatingPoint<T> && (std::floating_point<N> || std::is_same_v<T, bool>);

}  // namespace cria::detail

/// Of integers and masks, whatever else is given.
#define CRIA_REFUSE_INTEGERS(operation) \
  template <class T, class B, class... More> \
  requires(!FloatingPoint<T>) Tensor<float, B> operation(const Tensor<T, B>&, const More&...) { \
    detail::refuse_integers<T>(); \
    return {}; \
  }

/// The same of a reduction.
#define CRIA_REFUSE_INTEGERS_IN(reduction, Options) \
  template <class T, class B> \
  requires(!FloatingPoint<T>) Tensor<float, B> reduction(const Tensor<T, B>&, const Axes& = Axes::all(), \
                                                         const Options& = {}) { \
    detail::refuse_integers<T>(); \
    return {}; \
  }

/// Of two tensors of different types or on different backends. The result would be of Y.
#define CRIA_REFUSE_MIXED(operation, Y) \
  template <class T, class B, class U, class Place> \
  requires(detail::are_mixed<T, B, U, Place>) Tensor<Y, B> operation(const Tensor<T, B>&, \
                                                                     const Tensor<U, Place>&) { \
    detail::refuse_mixed<T, B, U, Place>(); \
    return {}; \
  }

/// Of a fraction beside integers, and of any number beside a mask.
#define CRIA_REFUSE_NUMBER(operation) \
  template <class T, class B, detail::NoNumberBeside<T> N> \
  Tensor<float, B> operation(const Tensor<T, B>&, N) { \
    detail::refuse_integers<T>(); \
    return {}; \
  } \
  template <class T, class B, detail::NoNumberBeside<T> N> \
  Tensor<float, B> operation(N, const Tensor<T, B>&) { \
    detail::refuse_integers<T>(); \
    return {}; \
  }

/// Of a loss of x and a target of different types or on different backends, or of integers.
#define CRIA_REFUSE_TARGETS(loss, Options) \
  template <class T, class B, class U, class Place> \
  requires(detail::are_mixed<T, B, U, Place> || !FloatingPoint<T>) Tensor<float, B> loss( \
      const Tensor<T, B>&, const Tensor<U, Place>&, const Options& = {}) { \
    detail::refuse_integers<T>(); \
    if constexpr (FloatingPoint<T>) detail::refuse_mixed<T, B, U, Place>(); \
    return {}; \
  }

/// Of a loss of x and the classes of its rows, where one of them is of another type or backend.
#define CRIA_REFUSE_CLASSES(loss) \
  template <class T, class B, class U, class Place, class... More> \
  requires(detail::are_no_classes<T, B, U, Place>) Tensor<float, B> loss( \
      const Tensor<T, B>&, const Tensor<U, Place>&, const More&...) { \
    detail::refuse_classes<T, B, U, Place>(); \
    return {}; \
  }

/// Of indices that are no std::int32_t, which come behind arguments of whatever type.
#define CRIA_REFUSE_INDICES(operation, ...) \
  template <class T, class B, class I, class Place, class... More> \
  requires(!std::is_same_v<I, std::int32_t>) Tensor<T, B> operation(__VA_ARGS__, const Tensor<I, Place>&, \
                                                                    const More&...) { \
    detail::refuse_indices<I>(); \
    return {}; \
  }
