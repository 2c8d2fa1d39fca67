#pragma once

#include <algorithm>
#include <vector>

#include "cria/backend/cpu/gemm.hpp"
#include "cria/backend/cpu/parallel.hpp"
#include "pretrain_llama/speed_of_light.hpp"

namespace cria::benchmarks {

/// What the machine can do at most, on all threads together.
struct Roofline {
  double flops_per_s;  // of a large product of matrices
  double bytes_per_s;  // read and written, in arrays of 10 MB as those of the benchmarks

  /// The least time for so much work, in seconds.
  double seconds(double flops, double bytes) const {
    return std::max(flops / flops_per_s, bytes / bytes_per_s);
  }
};

/// Measured once per dtype, in a fifth of a second.
template <class T>
const Roofline& roofline() {
  static const Roofline measured = [] {
    constexpr std::int64_t size = 768, bytes = 10'000'000;
    const int threads = cpu::available_threads();
    const std::vector<std::vector<T>> operands(static_cast<std::size_t>(threads),
                                               std::vector<T>(size * size));
    std::vector<std::vector<acc_t<T>>> sums(operands.size(), std::vector<acc_t<T>>(size * size));
    std::vector<std::vector<char>> from(operands.size(), std::vector<char>(bytes)), to = from;
    const double product = pretrain::best_seconds(threads, 6, [&](std::size_t thread) {
      const Rows<const T> matrix{operands[thread].data(), size, size};
      cpu::gemm(cpu::plain(matrix), cpu::transposed(matrix), false,
                Rows<acc_t<T>>{sums[thread].data(), size, size});
    });
    const double copy = pretrain::best_seconds(threads, 10, [&](std::size_t thread) {
      std::copy(from[thread].begin(), from[thread].end(), to[thread].begin());
    });
    return Roofline{2.0 * size * size * size * threads / product, 2.0 * bytes * threads / copy};
  }();
  return measured;
}

}  // namespace cria::benchmarks
