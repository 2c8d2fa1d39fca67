#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <vector>

#include "cria/backend/cpu/gemm.hpp"
#include "cria/nn/llama.hpp"

namespace pretrain {

/// How fast a training step can be at best: what its matrix products take alone.
struct SpeedOfLight {
  double peak_flops = 0;         // operations a second of the fastest product, all threads together
  double seconds_per_token = 0;  // for all products of forward and backward
};

/// Seconds that the threads, each on data of its own, need for work(thread): the best of several runs.
template <class F>
double best_seconds(std::int64_t threads, int runs, F work) {
  double best = std::numeric_limits<double>::infinity();
  for (int run = 0; run < runs; ++run) {
    std::vector<double> seconds(static_cast<std::size_t>(threads));
    cria::cpu::run_on_threads(static_cast<int>(threads), [&](int thread) {
      const auto start = std::chrono::steady_clock::now();
      work(static_cast<std::size_t>(thread));
      seconds[static_cast<std::size_t>(thread)] =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    });
    best = std::min(best, *std::max_element(seconds.begin(), seconds.end()));
  }
  return best;
}

/// Measures every product of the model's step as the step does it: by `threads` threads at once, each with
/// one thread on `rows` rows. Attention, of which only the causal half counts, is taken at the mean rate of
/// the others. Takes some tenths of a second.
template <class T>
SpeedOfLight measured_speed_of_light(const cria::nn::LlamaConfig& c, std::int64_t length, std::int64_t rows,
                                     std::int64_t threads) {
  using A = cria::acc_t<T>;
  struct Weight {
    std::int64_t out, in, count, rows;
  };
  const std::int64_t layers = c.num_hidden_layers, kv = c.num_key_value_heads * c.head_dim();
  const std::array<Weight, 5> weights{{
      {c.hidden_size, c.hidden_size, 2 * layers, rows},        // q_proj, o_proj
      {kv, c.hidden_size, 2 * layers, rows},                   // k_proj, v_proj
      {c.intermediate_size, c.hidden_size, 2 * layers, rows},  // gate_proj, up_proj
      {c.hidden_size, c.intermediate_size, layers, rows},      // down_proj
      {c.vocab_size, c.hidden_size, 1,
       std::min<std::int64_t>(rows, 256)},  // the head, which works in chunks of rows
  }};
  constexpr int runs = 4;
  SpeedOfLight light;
  double flops_per_token = 0;
  for (const Weight& weight : weights) {
    const auto numbers = [&](std::int64_t size) {
      return std::vector<std::vector<T>>(
          static_cast<std::size_t>(threads),
          std::vector<T>(static_cast<std::size_t>(size), static_cast<T>(A(0.5))));
    };
    auto x = numbers(weight.rows * weight.in), y = numbers(weight.rows * weight.out);
    const auto w = numbers(weight.out * weight.in);
    std::vector<std::vector<A>> dw(static_cast<std::size_t>(threads),
                                   std::vector<A>(static_cast<std::size_t>(weight.out * weight.in)));
    const auto w_of = [&](std::size_t thread) {
      return cria::Rows<const T>{w[thread].data(), weight.out, weight.in};
    };
    const auto x_of = [&](std::size_t thread) {
      return cria::Rows<T>{x[thread].data(), weight.rows, weight.in};
    };
    const auto y_of = [&](std::size_t thread) {
      return cria::Rows<T>{y[thread].data(), weight.rows, weight.out};
    };
    const auto constant = [](cria::Rows<T> matrix) { return cria::Rows<const T>(matrix); };
    const double flops = 2.0 * static_cast<double>(weight.rows * weight.out * weight.in * threads);
    const double tokens = static_cast<double>(weight.rows * threads),
                 count = static_cast<double>(weight.count);
    const auto add = [&](double seconds) {
      light.peak_flops = std::max(light.peak_flops, flops / seconds);
      light.seconds_per_token += count * seconds / tokens;
      flops_per_token += count * flops / tokens;
    };
    using cria::cpu::gemm, cria::cpu::plain, cria::cpu::transposed;
    add(best_seconds(threads, runs, [&](std::size_t t) {  // y = x w^T
      gemm(plain(constant(x_of(t))), transposed(w_of(t)), false, y_of(t));
    }));
    add(best_seconds(threads, runs, [&](std::size_t t) {  // dx = dy w
      gemm(plain(constant(y_of(t))), plain(w_of(t)), false, x_of(t));
    }));
    add(best_seconds(threads, runs, [&](std::size_t t) {  // dw += dy^T x
      gemm(transposed(constant(y_of(t))), plain(constant(x_of(t))), true,
           cria::Rows<A>{dw[t].data(), weight.out, weight.in});
    }));
  }
  const double attention = 6.0 * static_cast<double>((length + 1) * c.hidden_size * layers);
  light.seconds_per_token *= (flops_per_token + attention) / flops_per_token;
  return light;
}

}  // namespace pretrain
