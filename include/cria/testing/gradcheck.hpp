#pragma once
/// Gradients compared with finite differences, for tests of operations and layers of one's own; with any test
/// library.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "cria/core/random.hpp"
#include "cria/core/record.hpp"
#include "cria/ops/elementwise.hpp"
#include "cria/ops/reduce.hpp"

namespace cria {

namespace testing {

/// The derivatives of f at x along the directions, by central differences. `f` takes std::vector<double> and
/// returns a double.
template <class F>
std::vector<double> finite_differences(F f, const std::vector<double>& x,
                                       const std::vector<std::vector<double>>& directions) {
  constexpr double step = 1e-5;  // truncation and rounding errors both come to about 1e-10
  std::vector<double> result;
  for (const std::vector<double>& direction : directions) {
    const auto moved = [&](double by) {
      std::vector<double> to = x;
      for (std::size_t i = 0; i < x.size(); ++i) to[i] += by * direction[i];
      return to;
    };
    result.push_back((f(moved(step)) - f(moved(-step))) / (2 * step));
  }
  return result;
}

/// The derivatives along the directions, from the gradient.
inline std::vector<double> along(const std::vector<std::vector<double>>& directions,
                                 const std::vector<double>& gradient) {
  std::vector<double> result;
  for (const std::vector<double>& direction : directions) {
    result.push_back(std::inner_product(direction.begin(), direction.end(), gradient.begin(), 0.0));
  }
  return result;
}

/// Three directions in which every element moves, each differently, so that a wrong one is seen; and up to
/// six in which one element moves, spread evenly, so that it may be seen where.
inline std::vector<std::vector<double>> directions(std::size_t size) {
  std::vector<std::vector<double>> result;
  if (size == 0) return result;
  Rng rng(size);
  for (int direction = 0; direction < 3; ++direction) {
    std::vector<double> all;
    for (std::size_t i = 0; i < size; ++i) {
      const double number = rng.uniform();
      all.push_back(number < 0.5 ? number + 0.5 : -number);  // 0.5 to 1 of either sign
    }
    result.push_back(all);
  }
  const std::size_t alone = std::min<std::size_t>(size, 6);
  for (std::size_t i = 0; i < alone; ++i) {
    std::vector<double> one(size);
    one[i * size / alone] = 1;
    result.push_back(one);
  }
  return result;
}

}  // namespace testing

/// What gradcheck found: true if all gradients are right, and otherwise where they differ most.
struct GradCheck {
  bool passed = true;
  std::string message;

  explicit operator bool() const { return passed; }
};

struct GradCheckOptions {
  /// What gradients may differ by, relative to the greater of 1 and the derivative.
  double tolerance = 1e-6;
};

/// Whether backward gives the derivatives of f(inputs...), a tensor of any shape, that central differences
/// give along some directions. The inputs are Tensor<double>, whose values are copied. An f that is not
/// differentiable at the inputs, or is random, does not pass.
template <class F, class... B>
GradCheck gradcheck(const GradCheckOptions& options, F f, const Tensor<double, B>&... inputs) {
  std::vector<std::vector<double>> values{inputs.to_vector()...};
  // The sum of the outputs, each times a number of its own, so that no two errors cancel each other.
  const auto loss_at = [&](const std::vector<std::vector<double>>& at, auto after) {
    std::size_t k = 0;
    const auto next_leaf = [&]<class Backend>(const Tensor<double, Backend>& x) {
      return Tensor<double, Backend>::from(x.shape(), at[k++]).set_requires_grad();
    };
    const std::tuple leaves{next_leaf(inputs)...};
    const auto y = std::apply(f, leaves);
    Rng rng(7);
    std::vector<double> weights(static_cast<std::size_t>(y.size()));
    for (double& weight : weights) weight = 0.5 + rng.uniform();
    after(sum(y * std::decay_t<decltype(y)>::from(y.shape(), weights)), leaves);
  };
  std::vector<std::vector<double>> gradients;
  loss_at(values, [&](const auto& loss, const auto& leaves) {
    if (loss.requires_grad()) backward(loss);
    std::apply(
        [&](const auto&... leaf) {
          const auto of = [](const auto& x) {
            return x.grad().defined() ? x.grad().to_vector()
                                      : std::vector<double>(static_cast<std::size_t>(x.size()));
          };
          (gradients.push_back(of(leaf)), ...);
        },
        leaves);
  });
  GradCheck found;
  double worst = options.tolerance;
  for (std::size_t input = 0; input < values.size(); ++input) {
    const auto moves = testing::directions(values[input].size());
    const auto loss = [&](const std::vector<double>& moved) {
      const NoGrad guard;
      auto all = values;
      all[input] = moved;
      double result = 0;
      loss_at(all, [&](const auto& y, const auto&) { result = y.item(); });
      return result;
    };
    const auto got = testing::along(moves, gradients[input]);
    const auto want = testing::finite_differences(loss, values[input], moves);
    for (std::size_t i = 0; i < moves.size(); ++i) {
      const double error = std::abs(got[i] - want[i]) / std::max(1.0, std::abs(want[i]));
      if (error <= worst) continue;  // an error that is NaN counts
      worst = error;
      found.passed = false;
      found.message = "the gradient of input " + std::to_string(input) + " along direction " +
                      std::to_string(i) + " is " + std::to_string(got[i]) + ", finite differences give " +
                      std::to_string(want[i]);
    }
  }
  return found;
}
template <class F, class... B>
GradCheck gradcheck(F f, const Tensor<double, B>&... inputs) {
  return gradcheck(GradCheckOptions{}, f, inputs...);
}

}  // namespace cria
