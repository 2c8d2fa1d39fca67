#pragma once
/// Tensors as text: std::cout << x.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <ostream>
#include <string>
#include <type_traits>
#include <vector>

#include "cria/core/tensor.hpp"

namespace cria {

namespace detail {

/// Writes elements with nested brackets, as NumPy does: of more than 1,000 the first and last three along
/// each dimension.
class TensorText {
 public:
  /// The elements to be written, in their order.
  static std::vector<std::int64_t> shown(const Shape& shape) {
    std::vector<std::int64_t> result;
    TensorText(shape).visit(0, 0, [&](std::int64_t i) { result.push_back(i); });
    return result;
  }

  /// `texts` of the elements that are shown.
  static std::string of(const Shape& shape, std::vector<std::string> texts) {
    std::size_t width = 0;
    for (const std::string& text : texts) width = std::max(width, text.size());
    for (std::string& text : texts) text.insert(0, width - text.size(), ' ');
    TensorText result(shape);
    auto next = texts.begin();
    result.visit(0, 0, [&](std::int64_t) { result.add(*next++); });
    return result.text_;
  }

  /// Floating-point numbers with up to four digits after the point, as many for all, or with exponents if
  /// they are very large or far apart.
  static std::vector<std::string> numbers(const std::vector<double>& values) {
    double least = INFINITY, most = 0;
    for (const double value : values) {
      if (!std::isfinite(value) || value == 0) continue;
      least = std::min(least, std::abs(value));
      most = std::max(most, std::abs(value));
    }
    const bool has_exponents = most >= 1e8 || (most > 0 && (least < 1e-4 || most / least > 1e6));
    int digits = 0;
    for (const double value : values) {
      if (has_exponents || !std::isfinite(value)) continue;
      std::string text = format("%.*f", 4, value);
      const std::size_t used = text.find_last_not_of('0') - text.find('.');
      digits = std::max(digits, static_cast<int>(used));
    }
    std::vector<std::string> texts;
    for (const double value : values) {
      if (std::isnan(value)) {
        texts.push_back("nan");
      } else if (std::isinf(value)) {
        texts.push_back(value > 0 ? "inf" : "-inf");
      } else if (has_exponents) {
        texts.push_back(format("%.*e", 4, value));
      } else {
        texts.push_back(format("%.*f", digits, value) + (digits == 0 ? "." : ""));
      }
    }
    return texts;
  }

 private:
  static constexpr std::int64_t most_elements = 1000, edge = 3;
  static constexpr std::size_t line_width = 75;

  explicit TensorText(const Shape& shape) : shape_(shape), is_abridged_(shape.size() > most_elements) {}

  static std::string format(const char* pattern, int digits, double value) {
    char text[400];  // 1e308 has 309 digits
    const int size = std::snprintf(text, sizeof(text), pattern, digits, value);
    return {text, static_cast<std::size_t>(size)};
  }

  template <class F>
  void visit(int axis, std::int64_t first, F element) {
    if (axis == shape_.rank()) return element(first);
    if (shape_.size() == 0) {  // whatever its dimensions are
      text_ += "[]";
      return;
    }
    const std::int64_t dim = shape_.dim(axis), each = shape_.product(axis + 1, shape_.rank());
    const bool skips = is_abridged_ && dim > 2 * edge;
    text_ += '[';
    for (std::int64_t i = 0; i < dim; ++i) {
      if (i > 0) separate(axis);
      if (skips && i == edge) {
        add("...");
        i = dim - edge;
        separate(axis);
      }
      visit(axis + 1, first + i * each, element);
    }
    text_ += ']';
  }
  /// What lies between two parts along a dimension: a space, a line, an empty line.
  void separate(int axis) {
    if (axis == shape_.rank() - 1) {
      text_ += ' ';
      return;
    }
    text_.append(static_cast<std::size_t>(shape_.rank() - 1 - axis), '\n');
    begin_line(axis + 1);
  }
  void begin_line(int indent) {
    line_ = text_.size();
    text_.append(static_cast<std::size_t>(indent), ' ');
  }
  void add(const std::string& element) {
    if (text_.size() - line_ + element.size() > line_width && text_.back() == ' ') {
      text_.back() = '\n';
      begin_line(shape_.rank());
    }
    text_ += element;
  }

  const Shape& shape_;
  bool is_abridged_;
  std::string text_;
  std::size_t line_ = 0;  // where the last line begins
};

}  // namespace detail

/// The elements of x as NumPy shows them, in rows, abridged if there are more than 1,000.
template <class T, class B>
std::string to_string(const Tensor<T, B>& x) {
  const auto values = x.to_vector();
  std::vector<std::string> texts;
  std::vector<double> numbers;
  for (const std::int64_t i : detail::TensorText::shown(x.shape())) {
    const T value = values[static_cast<std::size_t>(i)];
    if constexpr (std::is_same_v<T, bool>) {
      texts.push_back(value ? "true" : "false");
    } else if constexpr (std::is_integral_v<T>) {
      texts.push_back(std::to_string(value));
    } else {
      numbers.push_back(static_cast<double>(value));
    }
  }
  if constexpr (!std::is_integral_v<T>) texts = detail::TensorText::numbers(numbers);
  return detail::TensorText::of(x.shape(), std::move(texts));
}

/// Writes the elements; "undefined" for a tensor that is.
template <class T, class B>
std::ostream& operator<<(std::ostream& out, const Tensor<T, B>& x) {
  return out << (x.defined() ? to_string(x) : std::string("undefined"));
}

}  // namespace cria
