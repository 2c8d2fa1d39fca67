#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "cria/backend/cpu/parallel.hpp"
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

/// Which library multiplies matrices of T on B.
template <class T, class B>
std::string products_by() {
  return cria::kernel_for<cria::ops::Linear, B>::template library<T>();
}

/// Measures every product of the model's step as the step does it: by `threads` threads at once, each with
/// one thread on `rows` rows. Attention, of which only the causal half counts, is taken at the mean rate of
/// the others. Takes some tenths of a second.
template <class T, class B>
SpeedOfLight measured_speed_of_light(const cria::nn::LlamaConfig& c, std::int64_t length, std::int64_t rows,
                                     std::int64_t threads) {
  using A = cria::acc_t<T>;
  using Product = cria::kernel_for<cria::ops::Linear, B>;
  using cria::Gradient, cria::Rows, cria::Tensor;
  struct Weight {
    std::int64_t out, in, count, rows;
  };
  const std::int64_t layers = c.num_hidden_layers, kv = c.key_value_size();
  const std::array<Weight, 5> weights{{
      {c.hidden_size, c.hidden_size, 2 * layers, rows},        // q_proj, o_proj
      {kv, c.hidden_size, 2 * layers, rows},                   // k_proj, v_proj
      {c.intermediate_size, c.hidden_size, 2 * layers, rows},  // gate_proj, up_proj
      {c.hidden_size, c.intermediate_size, layers, rows},      // down_proj
      {c.vocab_size, c.hidden_size, 1,
       std::min<std::int64_t>(rows, 256)},  // the head, which works in chunks of rows
  }};
  constexpr int runs = 4;
  // A device is handed several products at once, or the way to it would be measured.
  constexpr int products = std::is_same_v<B, cria::Cpu> ? 1 : 16;
  SpeedOfLight light;
  double flops_per_token = 0;
  for (const Weight& weight : weights) {
    const auto numbers = [&](const cria::Shape& shape) {
      std::vector<Tensor<T, B>> of_threads;
      for (std::int64_t i = 0; i < threads; ++i) {
        of_threads.push_back(Tensor<T, B>::full(shape, static_cast<T>(A(0.5))));
      }
      return of_threads;
    };
    auto x = numbers({weight.rows, weight.in}), y = numbers({weight.rows, weight.out});
    const auto w = numbers({weight.out, weight.in});
    std::vector<Tensor<A, B>> dw;
    for (std::int64_t i = 0; i < threads; ++i) dw.push_back(Tensor<A, B>::zeros({weight.out, weight.in}));
    const double flops = 2.0 * static_cast<double>(weight.rows * weight.out * weight.in * threads);
    const double tokens = static_cast<double>(weight.rows * threads),
                 count = static_cast<double>(weight.count);
    const auto add = [&](auto product) {
      const double seconds = best_seconds(threads, runs,
                                          [&](std::size_t thread) {
                                            for (int i = 0; i < products; ++i) product(thread);
                                            B::synchronize();
                                          }) /
                             products;
      light.peak_flops = std::max(light.peak_flops, flops / seconds);
      light.seconds_per_token += count * seconds / tokens;
      flops_per_token += count * flops / tokens;
    };
    const auto read = [](const Tensor<T, B>& matrix) { return matrix.rows(); };
    add([&](std::size_t t) { Product::forward(read(x[t]), read(w[t]), y[t].mutable_rows()); });  // y = x w^T
    add([&](std::size_t t) {                                                                     // dx = dy w
      Product::backward(read(y[t]), read(x[t]), read(w[t]), Gradient<Rows<T>>{x[t].mutable_rows(), true},
                        Gradient<Rows<A>>{});
    });
    add([&](std::size_t t) {  // dw += dy^T x
      Product::backward(read(y[t]), read(x[t]), read(w[t]), Gradient<Rows<T>>{},
                        Gradient<Rows<A>>{dw[t].mutable_rows(), false});
    });
  }
  const double attention = 6.0 * static_cast<double>((length + 1) * c.hidden_size * layers);
  light.seconds_per_token *= (flops_per_token + attention) / flops_per_token;
  return light;
}

}  // namespace pretrain
