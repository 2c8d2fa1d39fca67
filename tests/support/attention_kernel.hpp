#pragma once
/// The kernels of attention alone, on rows that are apart.

#include <cmath>
#include <cstdint>
#include <vector>

#include "cria/ops/attention.hpp"
#include "support/op_case.hpp"

namespace cria::test {

struct AttentionSizes {
  std::int64_t batch, length, keys, heads, kv_heads, dim;
};

/// The output, log_sum and the gradients of q, k and v.
using AttentionResults = std::vector<Values>;

/// Where rows lie: so many elements lie before the first, and after every position and every sequence.
struct Spacing {
  std::int64_t before = 0, gap = 0;
};

/// A tensor [batch, length, heads, dim] in memory that is NaN around its rows.
template <class T, class B>
class SpacedHeads {
 public:
  SpacedHeads(const Shape& shape, const Spacing& spacing, const Values& values)
      : shape_(shape),
        row_(shape.product(2, 4)),
        before_(spacing.before),
        gap_(spacing.gap),
        memory_(Tensor<T, B>::empty({size()})) {
    std::vector<T> all(static_cast<std::size_t>(size()), T(std::nanf("")));
    std::size_t next = 0;
    for_each_place([&](std::size_t place) {
      all[place] = T(static_cast<acc_t<T>>(static_cast<float>(bfloat16(static_cast<float>(values[next++])))));
    });
    memory_.assign(all);
  }

  Heads<T> view() {
    return {memory_.mutable_vec().data + before_,
            shape_.dim(0),
            shape_.dim(1),
            shape_.dim(2),
            shape_.dim(3),
            sequence(),
            row_ + gap_};
  }
  Values values() const {
    const std::vector<T> all = memory_.to_vector();
    Values values;
    for_each_place([&](std::size_t place) { values.push_back(to_double(all[place])); });
    return values;
  }

 private:
  std::int64_t sequence() const { return shape_.dim(1) * (row_ + gap_) + gap_; }
  std::int64_t size() const { return before_ + shape_.dim(0) * sequence(); }
  void for_each_place(auto f) const {
    for (std::int64_t b = 0; b < shape_.dim(0); ++b) {
      for (std::int64_t t = 0; t < shape_.dim(1); ++t) {
        for (std::int64_t i = 0; i < row_; ++i) {
          f(static_cast<std::size_t>(before_ + b * sequence() + t * (row_ + gap_) + i));
        }
      }
    }
  }

  Shape shape_;
  std::int64_t row_, before_, gap_;
  Tensor<T, B> memory_;
};

/// The kernels of backend B on random numbers that are the same for every T, up to rounding to bfloat16.
/// `fresh`: of the gradients, which else hold ones. Inputs and outputs have the spacing, in turns.
template <class T, class B>
AttentionResults run_attention_kernel(const AttentionSizes& sizes, bool fresh, const Spacing& spacing = {}) {
  using A = acc_t<T>;
  using K = kernel_for<ops::Attention, B>;
  const Shape q_shape{sizes.batch, sizes.length, sizes.heads, sizes.dim};
  const Shape k_shape{sizes.batch, sizes.keys, sizes.kv_heads, sizes.dim};
  const auto random = [&](const Shape& shape, std::uint64_t seed, const Spacing& own) {
    return SpacedHeads<T, B>(shape, own, normals(shape.size(), seed));
  };
  const auto constant = [&](const Shape& shape, double value, const Spacing& own) {
    return SpacedHeads<T, B>(shape, own, Values(static_cast<std::size_t>(shape.size()), value));
  };
  const Spacing wider{2 * spacing.before, 2 * spacing.gap};
  auto q = random(q_shape, 1, spacing), k = random(k_shape, 2, wider), v = random(k_shape, 3, {}),
       dy = random(q_shape, 4, {});
  auto y = constant(q_shape, std::nan(""), spacing);
  auto log_sum = Tensor<A, B>::empty({sizes.batch, sizes.heads, sizes.length});
  K::forward(Heads<const T>(q.view()), Heads<const T>(k.view()), Heads<const T>(v.view()), y.view(),
             log_sum.mutable_vec());
  const double before = fresh ? std::nan("") : 1.0;
  auto dq = constant(q_shape, before, {}), dk = constant(k_shape, before, spacing),
       dv = constant(k_shape, before, wider);
  const auto gradient = [&](SpacedHeads<T, B>& x) { return Gradient<Heads<T>>{x.view(), fresh}; };
  const Tensor<A, B>& log_sums = log_sum;
  K::backward(Heads<const T>(dy.view()), Heads<const T>(q.view()), Heads<const T>(k.view()),
              Heads<const T>(v.view()), Heads<const T>(y.view()), log_sums.vec(), gradient(dq), gradient(dk),
              gradient(dv));
  return {y.values(), to_values(log_sum), dq.values(), dk.values(), dv.values()};
}

}  // namespace cria::test
