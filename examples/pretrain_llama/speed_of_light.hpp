#pragma once

#include <algorithm>
#include <chrono>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "cria/core/threads.hpp"
#include "cria/nn/costs.hpp"
#include "cria/ops/linear.hpp"

namespace pretrain {

/// How fast a training step can be at best: what its matrix products take alone.
struct SpeedOfLight {
  double peak_flops = 0;         // operations a second of the fastest product, all threads together
  double seconds_per_token = 0;  // for all products of forward and backward
};

/// Threads in groups, each of which works on a replica of the model. By default a group is one thread.
struct ThreadGroups {
  std::int64_t groups, threads = 1;  // of each
};

/// Seconds that the groups, each on data of its own, need for work(group): the best of several runs.
template <class F>
double best_seconds(const ThreadGroups& workers, int runs, F work) {
  double best = std::numeric_limits<double>::infinity();
  for (int run = 0; run < runs; ++run) {
    std::vector<double> seconds(static_cast<std::size_t>(workers.groups));
    cria::run_on_groups(static_cast<int>(workers.groups), static_cast<int>(workers.threads), [&](int group) {
      const auto start = std::chrono::steady_clock::now();
      work(static_cast<std::size_t>(group));
      seconds[static_cast<std::size_t>(group)] =
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

/// Measures every product of the model's step as the step does it: by all groups of threads at once, each on
/// `rows` rows. Attention, of which only the causal half counts, is taken at the mean rate of
/// the others. Takes some tenths of a second.
template <class T, class B>
SpeedOfLight measured_speed_of_light(const cria::nn::Costs& costs, std::int64_t length, std::int64_t rows,
                                     const ThreadGroups& workers) {
  using A = cria::acc_t<T>;
  using Product = cria::kernel_for<cria::ops::Linear, B>;
  using cria::Gradient, cria::Rows, cria::Tensor;
  std::vector<cria::nn::Product> all = costs.products;
  all.push_back(costs.head);
  constexpr int runs = 4;
  // A device is handed several products at once, or the way to it would be measured.
  constexpr int products = std::is_same_v<B, cria::Cpu> ? 1 : 16;
  SpeedOfLight light;
  double flops_per_token = 0;
  for (const cria::nn::Product& weight : all) {
    const std::int64_t at_once = std::min(rows, weight.most_rows);
    const auto numbers = [&](const cria::Shape& shape) {
      std::vector<Tensor<T, B>> of_groups;
      for (std::int64_t i = 0; i < workers.groups; ++i) {
        of_groups.push_back(Tensor<T, B>::full(shape, static_cast<T>(A(0.5))));
      }
      return of_groups;
    };
    auto x = numbers({at_once, weight.in}), y = numbers({at_once, weight.out});
    const auto w = numbers({weight.out, weight.in});
    std::vector<Tensor<A, B>> dw;
    for (std::int64_t i = 0; i < workers.groups; ++i)
      dw.push_back(Tensor<A, B>::zeros({weight.out, weight.in}));
    const double flops = 2.0 * static_cast<double>(at_once * weight.out * weight.in * workers.groups);
    const double tokens = static_cast<double>(at_once * workers.groups),
                 count = static_cast<double>(weight.count);
    const auto add = [&](auto product) {
      const double seconds = best_seconds(workers, runs,
                                          [&](std::size_t group) {
                                            for (int i = 0; i < products; ++i) product(group);
                                            B::synchronize();
                                          }) /
                             products;
      light.peak_flops = std::max(light.peak_flops, flops / seconds);
      light.seconds_per_token += count * seconds / tokens;
      flops_per_token += count * flops / tokens;
    };
    const auto read = [](const Tensor<T, B>& matrix) { return matrix.rows(); };
    add([&](std::size_t g) {  // y = x w^T
      Product::forward(read(x[g]), read(w[g]), {}, y[g].mutable_rows());
    });
    add([&](std::size_t g) {  // dx = dy w
      Product::backward(read(y[g]), read(x[g]), read(w[g]), Gradient<Rows<T>>{x[g].mutable_rows(), true},
                        Gradient<Rows<A>>{});
    });
    add([&](std::size_t g) {  // dw += dy^T x
      Product::backward(read(y[g]), read(x[g]), read(w[g]), Gradient<Rows<T>>{},
                        Gradient<Rows<A>>{dw[g].mutable_rows(), false});
    });
  }
  const double attention = 6.0 * costs.attention_width * static_cast<double>(length + 1);
  light.seconds_per_token *= (flops_per_token + attention) / flops_per_token;
  return light;
}

}  // namespace pretrain
