#pragma once

#include <algorithm>
#include <array>
#include <cmath>

#include "cria/backend/cpu/elementwise.hpp"
#include "cria/backend/cpu/gemm.hpp"
#include "cria/core/math.hpp"
#include "cria/ops/cross_entropy.hpp"

namespace cria {

namespace cpu {

/// How many targets count. Throws ShapeError for one outside [0, classes) that is not `ignore`.
inline std::int64_t counted_targets(std::string_view op, Vec<const std::int32_t> targets,
                                    std::int64_t classes, std::int32_t ignore) {
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < targets.size; ++i) {
    if (targets[i] == ignore) continue;
    if (targets[i] < 0 || targets[i] >= classes) {
      throw ShapeError(std::string(op) + ": target " + std::to_string(targets[i]) + " at position " +
                       std::to_string(i) + " is not a class; it must be in [0, " + std::to_string(classes) +
                       ") or " + std::to_string(ignore) + " to be ignored");
    }
    ++count;
  }
  return count;
}

/// log(sum(exp(x)))
template <class A, class T>
A log_sum_exp(const T* x, std::int64_t size) {
  // One maximum per lane, because Clang turns no maximum of floats into a reduction: NaN would be in its way.
  constexpr std::int64_t lanes = 16;
  std::array<A, lanes> maxima;
  maxima.fill(static_cast<A>(x[0]));
  std::int64_t done = 0;
  for (; done + lanes <= size; done += lanes) {
#pragma omp simd
    for (std::int64_t j = 0; j < lanes; ++j) {
      A& lane = maxima[static_cast<std::size_t>(j)];
      lane = std::max(lane, static_cast<A>(x[done + j]));
    }
  }
  A maximum = *std::max_element(maxima.begin(), maxima.end());
  for (; done < size; ++done) maximum = std::max(maximum, static_cast<A>(x[done]));
  A sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t j = 0; j < size; ++j) sum += math::exp(static_cast<A>(x[j]) - maximum);
  return maximum + std::log(sum);
}

}  // namespace cpu

template <>
struct kernel<ops::CrossEntropy, Cpu> {
  template <class T, class A>
  static void forward(Rows<const T> logits, Vec<const std::int32_t> targets, std::int32_t ignore, Vec<A> loss,
                      Vec<A> log_sum) {
    const std::int64_t count = cpu::counted_targets("cross_entropy", targets, logits.cols, ignore);
    cpu::parallel_for(logits.rows, 8, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) log_sum[i] = cpu::log_sum_exp<A>(logits.row(i), logits.cols);
    });
    A sum = 0;
    for (std::int64_t i = 0; i < logits.rows; ++i) {
      if (targets[i] != ignore) sum += log_sum[i] - static_cast<A>(logits.row(i)[targets[i]]);
    }
    loss[0] = count > 0 ? sum / static_cast<A>(count) : A(0);
  }

  template <class T, class A>
  static void backward(Vec<const A> dloss, Rows<const T> logits, Vec<const std::int32_t> targets,
                       std::int32_t ignore, Vec<const A> log_sum, Rows<T> dlogits) {
    if (!dlogits) return;
    const std::int64_t count = cpu::counted_targets("cross_entropy", targets, logits.cols, ignore);
    if (count == 0) return;
    const A scale = dloss[0] / static_cast<A>(count);
    cpu::parallel_for(logits.rows, 8, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        if (targets[i] == ignore) continue;
        const T* x = logits.row(i);
        T* d = dlogits.row(i);
#pragma omp simd
        for (std::int64_t j = 0; j < logits.cols; ++j) {
          const A onehot = j == targets[i] ? A(1) : A(0);
          const A p = math::exp(static_cast<A>(x[j]) - log_sum[i]);
          d[j] = static_cast<T>(static_cast<A>(d[j]) + scale * (p - onehot));
        }
      }
    });
  }
};

template <>
struct kernel<ops::LinearCrossEntropy, Cpu> {
  /// Rows whose logits are held at once.
  static constexpr std::int64_t chunk_rows = 256;

  template <class T, class A>
  static void forward(Rows<const T> x, Rows<const T> weight, Vec<const std::int32_t> targets,
                      std::int32_t ignore, Vec<A> loss, Rows<A> dx, Rows<A> dweight) {
    const std::int64_t vocabulary = weight.rows;
    const std::int64_t count = cpu::counted_targets("linear_cross_entropy", targets, vocabulary, ignore);
    const A scale = count > 0 ? A(1) / static_cast<A>(count) : A(0);
    const bool with_gradient = dx || dweight;
    const cpu::Scratch<A> logits_memory(std::min(chunk_rows, x.rows) * vocabulary);
    const cpu::Scratch<A> row_losses(x.rows);
    // Gradients of the logits are rounded to T, as if they were a tensor of the graph, but not yet divided by
    // the count: in float16 most of them would vanish.
    const cpu::Scratch<T> dlogits_memory(with_gradient ? std::min(chunk_rows, x.rows) * vocabulary : 0);
    if (dweight && x.rows == 0)
      Cpu::fill_zero(dweight.data, sizeof(A) * static_cast<std::size_t>(dweight.rows * dweight.cols));
    for (std::int64_t first = 0; first < x.rows; first += chunk_rows) {
      const std::int64_t rows = std::min(chunk_rows, x.rows - first);
      const Rows<A> logits{logits_memory.data(), rows, vocabulary};
      const Rows<T> dlogits{dlogits_memory.data(), rows, vocabulary};
      cpu::gemm(cpu::Op::plain, x.slice(first, rows), cpu::Op::transposed, weight, false, logits);
      cpu::parallel_for(rows, 8, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const std::int32_t target = targets[first + i];
          const bool counts = target != ignore;
          const A* row = logits.row(i);
          const A log_sum = cpu::log_sum_exp<A>(row, vocabulary);
          row_losses[first + i] = counts ? log_sum - row[target] : A(0);
          if (!with_gradient) continue;
          const A weight_of_row = counts ? A(1) : A(0);
          T* d = dlogits.row(i);
#pragma omp simd
          for (std::int64_t j = 0; j < vocabulary; ++j) {
            d[j] = static_cast<T>(weight_of_row * math::exp(row[j] - log_sum));
          }
          if (counts) d[target] = static_cast<T>(math::exp(row[target] - log_sum) - A(1));
        }
      });
      const Rows<const T> gradient = dlogits;
      if (dx) cpu::gemm(cpu::Op::plain, gradient, cpu::Op::plain, weight, false, dx.slice(first, rows));
      if (dweight) {
        cpu::gemm(cpu::Op::transposed, gradient, cpu::Op::plain, x.slice(first, rows), first > 0, dweight);
      }
    }
    A sum = 0;
    for (std::int64_t i = 0; i < x.rows; ++i) sum += row_losses[i];
    loss[0] = sum * scale;
    const auto divide = [scale](Rows<A> gradient) {
      cpu::parallel_for(gradient.rows * gradient.cols, cpu::elementwise_grain,
                        [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
                          for (std::int64_t i = begin; i < end; ++i) gradient.data[i] *= scale;
                        });
    };
    divide(dx);
    divide(dweight);
  }

  template <class A, class T>
  static void backward(Vec<const A> dloss, Vec<const A> saved, Vec<T> gradient) {
    if (!gradient) return;
    const A scale = dloss[0];
    cpu::parallel_for(gradient.size, cpu::elementwise_grain, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) {
        gradient[i] = static_cast<T>(static_cast<acc_t<T>>(gradient[i]) + scale * saved[i]);
      }
    });
  }
};

}  // namespace cria
