#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cria/core/check.hpp"
#include "cria/ops/cast.hpp"
#include "cria/ops/matmul.hpp"
#include "cria/ops/rearrange.hpp"
#include "cria/ops/reduce.hpp"
#include "cria/ops/refused.hpp"

namespace cria {

namespace detail {

/// The letters of einsum's dimensions.
struct Subscripts {
  std::string a, b, result;

  /// Throws ConfigError unless the formula is two operands' letters and a result's.
  explicit Subscripts(std::string_view formula) {
    const std::size_t comma = formula.find(','), arrow = formula.find("->");
    if (comma < arrow && arrow != formula.npos) {
      a = formula.substr(0, comma);
      b = formula.substr(comma + 1, arrow - comma - 1);
      result = formula.substr(arrow + 2);
      if (are_letters(a) && are_letters(b) && are_letters(result) && only(result, a + b) == result) return;
    }
    throw ConfigError("einsum: the formula is '" + std::string(formula) +
                      "'; it must be of the form 'bij,bjk->bik', a letter for each dimension, which operands "
                      "and result have at most once, and each of the result's in an operand");
  }

  /// The letters of `letters` that are in `others`, or that are not.
  static std::string only(const std::string& letters, const std::string& others, bool in = true) {
    std::string found;
    for (const char letter : letters) {
      if ((others.find(letter) != others.npos) == in) found += letter;
    }
    return found;
  }

 private:
  static bool are_letters(const std::string& text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      const bool is_letter = (text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z');
      if (!is_letter || text.find(text[i], i + 1) != text.npos) return false;
    }
    return true;
  }
};

/// The dimensions of x, whose letters are `from`, in the order of `to`; those that `to` lacks are summed up.
template <FloatingPoint T, class B>
Tensor<T, B> in_order(Tensor<T, B> x, std::string from, const std::string& to) {
  for (const char letter : Subscripts::only(from, to, false)) {
    const std::size_t at = from.find(letter);
    x = cast<T>(sum(x, static_cast<int>(at)));
    from.erase(at, 1);
  }
  if (from == to) return x;
  std::vector<int> axes;
  for (const char letter : to) axes.push_back(static_cast<int>(from.find(letter)));
  return permute(x, axes);
}

}  // namespace detail

/// Sums of products of two tensors by Einstein's convention, as one stack of matrix products:
///
///   einsum("bij,bjk->bik", a, b)      y[b, i, k] = sum over j of a[b, i, j] b[b, j, k]
///
/// A letter names a dimension; those that the result lacks are summed up, in acc_t<T>. Throws ConfigError for
/// a formula that is none, ShapeError if the dimensions are not as many as its letters, or those of one
/// letter differ.
template <FloatingPoint T, class B>
Tensor<T, B> einsum(std::string_view formula, const Tensor<T, B>& a, const Tensor<T, B>& b) {
  using detail::Subscripts;
  const Subscripts letters(formula);
  check::rank("einsum", {"a", a.shape()}, static_cast<int>(letters.a.size()));
  check::rank("einsum", {"b", b.shape()}, static_cast<int>(letters.b.size()));
  const std::string shared = Subscripts::only(letters.a, letters.b);
  for (const char letter : shared) {
    check::equal_dims("einsum", {"a", a.shape()}, static_cast<int>(letters.a.find(letter)), {"b", b.shape()},
                      static_cast<int>(letters.b.find(letter)));
  }
  const std::string stack = Subscripts::only(shared, letters.result);
  const std::string summed = Subscripts::only(shared, letters.result, false);
  const std::string of_a = Subscripts::only(letters.result, letters.b, false);
  const std::string of_b = Subscripts::only(letters.result, letters.a, false);
  const auto size = [&](const std::string& of) {
    std::int64_t product = 1;
    for (const char letter : of) {
      const std::size_t in_a = letters.a.find(letter);
      product *=
          in_a != of.npos ? a.dim(static_cast<int>(in_a)) : b.dim(static_cast<int>(letters.b.find(letter)));
    }
    return product;
  };
  const auto left = detail::in_order(a, letters.a, stack + of_a + summed);
  const auto right = detail::in_order(b, letters.b, stack + summed + of_b);
  const auto y = bmm(reshape(left, {size(stack), size(of_a), size(summed)}),
                     reshape(right, {size(stack), size(summed), size(of_b)}));
  std::vector<std::int64_t> dims;
  for (const char letter : stack + of_a + of_b) dims.push_back(size(std::string(1, letter)));
  return detail::in_order(reshape(y, Shape(dims)), stack + of_a + of_b, letters.result);
}

}  // namespace cria
