#pragma once
/// Heads whose rows are apart, for tests of kernels alone.

#include <cmath>
#include <cstdint>
#include <vector>

#include "cria/core/tensor.hpp"
#include "cria/core/view.hpp"
#include "support/compare.hpp"

namespace cria::test {

/// Where rows lie: so many elements lie before the first, after every position and every sequence, and once
/// more after every sequence.
struct Spacing {
  std::int64_t before = 0, gap = 0, after_sequence = 0;
};

/// A tensor [batch, length, heads, dim] in memory that is NaN around its rows.
template <class T, class B>
class SpacedHeads {
 public:
  SpacedHeads(const Shape& shape, const Spacing& spacing, const Values& values)
      : shape_(shape), row_(shape.product(2, 4)), spacing_(spacing), memory_(Tensor<T, B>::empty({size()})) {
    std::vector<T> all(static_cast<std::size_t>(size()), T(std::nanf("")));
    std::size_t next = 0;
    for_each_place([&](std::size_t place) {
      all[place] = T(static_cast<acc_t<T>>(static_cast<float>(bfloat16(static_cast<float>(values[next++])))));
    });
    memory_.assign(all);
  }

  Heads<T> view() {
    return {memory_.mutable_vec().data + spacing_.before,
            shape_.dim(0),
            shape_.dim(1),
            shape_.dim(2),
            shape_.dim(3),
            sequence(),
            row()};
  }
  Values values() const {
    const std::vector<T> all = memory_.to_vector();
    Values values;
    for_each_place([&](std::size_t place) { values.push_back(to_double(all[place])); });
    return values;
  }

 private:
  std::int64_t row() const { return row_ + spacing_.gap; }
  std::int64_t sequence() const { return shape_.dim(1) * row() + spacing_.gap + spacing_.after_sequence; }
  std::int64_t size() const { return spacing_.before + shape_.dim(0) * sequence(); }
  void for_each_place(auto f) const {
    for (std::int64_t b = 0; b < shape_.dim(0); ++b) {
      for (std::int64_t t = 0; t < shape_.dim(1); ++t) {
        for (std::int64_t i = 0; i < row_; ++i) {
          f(static_cast<std::size_t>(spacing_.before + b * sequence() + t * row() + i));
        }
      }
    }
  }

  Shape shape_;
  std::int64_t row_;
  Spacing spacing_;
  Tensor<T, B> memory_;
};

}  // namespace cria::test
