#pragma once
/// What parameters begin training with. Random numbers are drawn on the host, so they are the same on every
/// backend.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "cria/core/check.hpp"
#include "cria/core/random.hpp"
#include "cria/nn/module.hpp"

namespace cria::nn {

namespace detail {

/// Fills a parameter with the numbers that draw() gives, in the order of its elements.
template <class T, class B, class F>
void fill_by(Parameter<T, B>& parameter, F draw) {
  std::vector<T> values(static_cast<std::size_t>(parameter.size()));
  for (T& value : values) value = static_cast<T>(static_cast<acc_t<T>>(draw()));
  parameter.value().assign(values);
}

/// How many numbers a result sums up, and in how many results a number is, of a kernel [out, in, ...].
struct Fans {
  double in, out;
  Fans(std::string_view op, const Shape& shape) {
    check::rank_at_least(op, {"parameter", shape}, 2);
    const std::int64_t window = shape.product(2, shape.rank());
    in = static_cast<double>(shape.dim(1) * window);
    out = static_cast<double>(shape.dim(0) * window);
  }
};

}  // namespace detail

/// Fills a parameter with one number.
template <class T, class B>
void fill(Parameter<T, B>& parameter, double value) {
  detail::fill_by(parameter, [=] { return value; });
}

/// Fills a parameter with numbers of the uniform distribution between low and high from `rng`.
template <class T, class B>
void fill_uniform(Parameter<T, B>& parameter, double low, double high, Rng rng) {
  detail::fill_by(parameter, [&] { return low + (high - low) * rng.uniform(); });
}

/// Fills a parameter with numbers of the normal distribution (0, standard_deviation) from `rng`.
template <class T, class B>
void fill_normal(Parameter<T, B>& parameter, double standard_deviation, Rng rng) {
  detail::fill_by(parameter, [&] { return standard_deviation * rng.normal(); });
}

/// The same but for numbers more than 2 standard deviations from 0, which are drawn again: what is left
/// deviates by 0.88 times as much.
template <class T, class B>
void fill_truncated_normal(Parameter<T, B>& parameter, double standard_deviation, Rng rng) {
  detail::fill_by(parameter, [&] {
    double value = rng.normal();
    while (std::abs(value) > 2) value = rng.normal();
    return standard_deviation * value;
  });
}

/// Fills a matrix or kernel [out, in, ...] such that the variances of activations and of gradients stay about
/// the same from layer to layer: 2 gain^2 / (inputs + outputs) is that of its elements. Throws ShapeError for
/// a vector. Glorot, Bengio 2010.
template <class T, class B>
void fill_xavier_uniform(Parameter<T, B>& parameter, Rng rng, double gain = 1) {
  const detail::Fans fans("fill_xavier_uniform", parameter.shape());
  const double bound = gain * std::sqrt(6 / (fans.in + fans.out));
  fill_uniform(parameter, -bound, bound, rng);
}
template <class T, class B>
void fill_xavier_normal(Parameter<T, B>& parameter, Rng rng, double gain = 1) {
  const detail::Fans fans("fill_xavier_normal", parameter.shape());
  fill_normal(parameter, gain * std::sqrt(2 / (fans.in + fans.out)), rng);
}

/// Fills a matrix or kernel [out, in, ...] such that the variance of activations stays the same behind
/// rectifiers: gain^2 / inputs is that of its elements. Throws ShapeError for a vector. He et al. 2015.
template <class T, class B>
void fill_kaiming_uniform(Parameter<T, B>& parameter, Rng rng, double gain = std::numbers::sqrt2) {
  const double bound = gain * std::sqrt(3 / detail::Fans("fill_kaiming_uniform", parameter.shape()).in);
  fill_uniform(parameter, -bound, bound, rng);
}
template <class T, class B>
void fill_kaiming_normal(Parameter<T, B>& parameter, Rng rng, double gain = std::numbers::sqrt2) {
  fill_normal(parameter, gain / std::sqrt(detail::Fans("fill_kaiming_normal", parameter.shape()).in), rng);
}

/// Fills a matrix or kernel [out, all others] with `gain` times an orthogonal matrix, all of which are
/// equally probable: its rows are orthonormal, or its columns if there are more rows. Throws ShapeError for
/// a vector. Saxe et al. 2013.
template <class T, class B>
void fill_orthogonal(Parameter<T, B>& parameter, Rng rng, double gain = 1) {
  const Shape& shape = parameter.shape();
  check::rank_at_least("fill_orthogonal", {"parameter", shape}, 2);
  const auto rows = static_cast<std::size_t>(shape.dim(0));
  const auto cols = static_cast<std::size_t>(shape.product(1, shape.rank()));
  std::vector<std::vector<double>> basis(std::min(rows, cols), std::vector<double>(std::max(rows, cols)));
  for (auto& x : basis) {  // Gram, Schmidt; twice, since the first time leaves what rounding makes of it
    for (double& value : x) value = rng.normal();
    for (int time = 0; time < 2; ++time) {
      for (const auto* y = basis.data(); y != &x; ++y) {
        const double along = std::inner_product(x.begin(), x.end(), y->begin(), 0.0);
        for (std::size_t i = 0; i < x.size(); ++i) x[i] -= along * (*y)[i];
      }
      const double length = std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0));
      for (double& value : x) value /= length;
    }
  }
  std::size_t i = 0;
  detail::fill_by(parameter, [&] {
    const std::size_t row = i / cols, col = i % cols;
    ++i;
    return gain * (rows <= cols ? basis[row][col] : basis[col][row]);
  });
}

/// Initialises every parameter for training from scratch: those with a constant of their own (norms) get it,
/// matrices and kernels normal(0, 1 / sqrt(inputs)), that is He's rule without its factor for rectifiers, and
/// other vectors 0. The inputs of a kernel [out, in, ...] are all numbers that one of its results sums up.
/// Models with rules of their own overload this. Throws ConfigError if a parameter or a name is listed
/// twice.
template <class M>
void initialize(M& module, Rng rng) {
  check_listed_once(module);
  std::uint64_t index = 0;
  for_each_parameter(module, [&](const std::string&, auto& parameter) {
    const Rng own = rng.split(index++);
    if (parameter.shape().rank() >= 2 && !parameter.constant()) {
      fill_kaiming_normal(parameter, own, 1);
    } else {
      fill(parameter, parameter.constant().value_or(0.0));
    }
  });
}

}  // namespace cria::nn
