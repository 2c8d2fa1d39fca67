#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "cria/cria.hpp"
#include "pretrain_llama/speed_of_light.hpp"

namespace cria::benchmarks {

/// What the machine can do at most, on all threads together.
struct Roofline {
  double flops_per_s;  // of a large product of matrices
  double bytes_per_s;  // read and written, in large arrays: of 10 MB on the CPU, as those of the benchmarks

  /// The least time for so much work, in seconds.
  double seconds(double flops, double bytes) const {
    return std::max(flops / flops_per_s, bytes / bytes_per_s);
  }
};

/// That of backend B in dtype T. Measured once, in some tenths of a second.
template <class T, class B = DefaultBackend>
const Roofline& roofline() {
  static const Roofline measured = [] {
    constexpr bool on_cpu = std::is_same_v<B, Cpu>;
    constexpr std::int64_t size = on_cpu ? 768 : 4096, values = on_cpu ? 2'500'000 : 50'000'000;
    const int threads = on_cpu ? available_threads() : 1;
    std::vector<Tensor<T, B>> operands, products;
    std::vector<Tensor<float, B>> from, to;
    for (int thread = 0; thread < threads; ++thread) {
      operands.push_back(Tensor<T, B>::zeros({size, size}));
      products.push_back(Tensor<T, B>::zeros({size, size}));
      from.push_back(Tensor<float, B>::zeros({values}));
      to.push_back(Tensor<float, B>::zeros({values}));
    }
    // A device is handed work several times before it is waited for, or the way to it would be measured.
    constexpr int times = on_cpu ? 1 : 16;
    const auto seconds = [&](int runs, auto work) {
      return pretrain::best_seconds({threads}, runs,
                                    [&](std::size_t thread) {
                                      for (int i = 0; i < times; ++i) work(thread);
                                      B::synchronize();
                                    }) /
             times;
    };
    const double product = seconds(6, [&](std::size_t thread) {
      const Tensor<T, B>& operand = operands[thread];
      kernel_for<ops::Linear, B>::forward(operand.rows(), operand.rows(), {},
                                          products[thread].mutable_rows());
    });
    const double copy = seconds(10, [&](std::size_t thread) {
      B::copy(to[thread].mutable_vec().data, from[thread].vec().data, values * sizeof(float));
    });
    return Roofline{2.0 * size * size * size * threads / product,
                    2.0 * static_cast<double>(values) * sizeof(float) * threads / copy};
  }();
  return measured;
}

}  // namespace cria::benchmarks
