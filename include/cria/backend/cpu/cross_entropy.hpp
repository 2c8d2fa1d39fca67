#pragma once

#include <algorithm>
#include <array>
#include <cmath>

#include "cria/backend/cpu/gemm.hpp"
#include "cria/backend/cpu/map.hpp"
#include "cria/backend/cpu/sum.hpp"
#include "cria/core/check.hpp"
#include "cria/core/math.hpp"
#include "cria/core/operations.hpp"

namespace cria {

namespace cpu {

/// How many targets count. Throws ShapeError for one outside [0, classes) that is not `ignore`.
inline std::int64_t counted_targets(std::string_view op, Vec<const std::int32_t> targets,
                                    std::int64_t classes, std::int32_t ignore) {
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < targets.size; ++i) {
    if (targets[i] == ignore) continue;
    if (targets[i] < 0 || targets[i] >= classes) {
      check::fail_target(op, i, targets[i], classes, ignore);
    }
    ++count;
  }
  return count;
}

/// The largest of x.
template <class A, class T>
A maximum(const T* x, std::int64_t size) {
  // One maximum per lane, because Clang turns no maximum of floats into a reduction: NaN would be in its way.
  constexpr std::int64_t lanes = 16;
  std::array<A, lanes> maxima;
  maxima.fill(static_cast<A>(x[0]));
  std::int64_t done = 0;
  for (; done + lanes <= size; done += lanes) {
    CRIA_SIMD
    for (std::int64_t j = 0; j < lanes; ++j) {
      A& lane = maxima[static_cast<std::size_t>(j)];
      lane = std::max(lane, static_cast<A>(x[done + j]));
    }
  }
  A result = *std::max_element(maxima.begin(), maxima.end());
  for (; done < size; ++done) result = std::max(result, static_cast<A>(x[done]));
  return result;
}

/// log(sum(exp(x)))
template <class A, class T>
A log_sum_exp(const T* x, std::int64_t size) {
  const A most = maximum<A>(x, size);
  return most + std::log(pairwise_sum<A>(0, size, [x, most](std::int64_t j) {
           return math::exp_up_to_88(static_cast<A>(x[j]) - most);
         }));
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
    const A sum = cpu::pairwise_sum<A>(0, logits.rows, [=](std::int64_t i) {
      return targets[i] == ignore ? A(0) : log_sum[i] - static_cast<A>(logits.row(i)[targets[i]]);
    });
    loss[0] = count > 0 ? sum / static_cast<A>(count) : A(0);
  }

  template <class T, class A>
  static void backward(Vec<const A> dloss, Rows<const T> logits, Vec<const std::int32_t> targets,
                       std::int32_t ignore, Vec<const A> log_sum, Gradient<Rows<T>> dlogits) {
    if (!dlogits) return;
    const std::int64_t count = cpu::counted_targets("cross_entropy", targets, logits.cols, ignore);
    const A scale = count > 0 ? dloss[0] / static_cast<A>(count) : A(0);
    cpu::parallel_for(logits.rows, 8, [=](std::int64_t begin, std::int64_t end) {
      const cpu::Scratch<A> memory(logits.cols);
      for (std::int64_t i = begin; i < end; ++i) {
        const T* x = logits.row(i);
        const std::int32_t target = targets[i];
        const A row_scale = target == ignore ? A(0) : scale, row_log_sum = log_sum[i];
        A* gradient = memory.data();
        CRIA_SIMD
        for (std::int64_t j = 0; j < logits.cols; ++j) {
          gradient[j] = row_scale * math::exp_up_to_88(static_cast<A>(x[j]) - row_log_sum);
        }
        if (target != ignore) gradient[target] -= row_scale;
        cpu::map_range(
            0, logits.cols, !dlogits.fresh, Vec<T>{dlogits.row(i), logits.cols},
            [](A value) { return value; }, Vec<const A>{gradient, logits.cols});
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
    // the count: in float16 most of them would vanish. Where T is A they take the place of the logits.
    constexpr bool in_place = std::is_same_v<T, A>;
    const cpu::Scratch<T> dlogits_memory(
        with_gradient && !in_place ? std::min(chunk_rows, x.rows) * vocabulary : 0);
    const auto chunk = [&](std::int64_t first, std::int64_t rows, bool accumulate, A* sums) {
      const Rows<A> logits{logits_memory.data(), rows, vocabulary};
      Rows<T> dlogits{dlogits_memory.data(), rows, vocabulary};
      if constexpr (in_place) dlogits.data = logits.data;
      cpu::gemm(plain(x.slice(first, rows)), transposed(weight), false, logits);
      cpu::parallel_for(rows, 8, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const std::int32_t target = targets[first + i];
          const bool counts = target != ignore;
          A* row = logits.row(i);
          if (!with_gradient) {
            row_losses[first + i] = counts ? cpu::log_sum_exp<A>(row, vocabulary) - row[target] : A(0);
            continue;
          }
          const A target_logit = counts ? row[target] : A(0);
          const A maximum = cpu::maximum<A>(row, vocabulary);
          const A sum = cpu::pairwise_sum<A>(0, vocabulary, [row, maximum](std::int64_t j) {
            row[j] = math::exp_up_to_88(row[j] - maximum);
            return row[j];
          });
          row_losses[first + i] = counts ? maximum + std::log(sum) - target_logit : A(0);
          const A inverse = counts ? A(1) / sum : A(0);
          const A target_gradient = counts ? row[target] * inverse - A(1) : A(0);
          cpu::map_range(
              0, vocabulary, false, Vec<T>{dlogits.row(i), vocabulary},
              [inverse](A value) { return value * inverse; }, Vec<const A>{row, vocabulary});
          if (counts) dlogits.row(i)[target] = static_cast<T>(target_gradient);
        }
      });
      const Rows<const T> gradient = dlogits;
      if (dx) cpu::gemm(plain(gradient), plain(weight), false, dx.slice(first, rows));
      if (dweight) {
        cpu::gemm(transposed(gradient), plain(x.slice(first, rows)), accumulate,
                  Rows<A>{sums, vocabulary, x.cols});
      }
    };
    // Whose part of weight's gradient is summed up in `sums`.
    const auto chunks = [&](std::int64_t begin, std::int64_t end, A* sums) {
      for (std::int64_t first = begin; first < end; first += chunk_rows) {
        chunk(first, std::min(chunk_rows, end - first), first > begin, sums);
      }
    };
    if (dweight && x.rows == 0)
      Cpu::fill_zero(dweight.data, sizeof(A) * static_cast<std::size_t>(dweight.rows * dweight.cols));
    cpu::pairwise_sums(0, x.rows, dweight ? cpu::block_of_depth : x.rows, dweight.rows * dweight.cols,
                       dweight.data, chunks);
    loss[0] = scale * cpu::pairwise_sum<A>(0, x.rows, [&](std::int64_t i) { return row_losses[i]; });
    const auto divide = [scale](Rows<A> gradient) {
      cpu::parallel_for_elements(gradient.rows * gradient.cols, cpu::elementwise_grain,
                                 [=](std::int64_t begin, std::int64_t end) {
                                   CRIA_SIMD
                                   for (std::int64_t i = begin; i < end; ++i) gradient.data[i] *= scale;
                                 });
    };
    divide(dx);
    divide(dweight);
  }

  template <class A, class T>
  static void backward(Vec<const A> dloss, Vec<const A> saved, Gradient<Vec<T>> gradient) {
    const A scale = dloss[0];
    cpu::map_add(
        gradient, [scale](A value) { return scale * value; }, saved);
  }
};

}  // namespace cria
