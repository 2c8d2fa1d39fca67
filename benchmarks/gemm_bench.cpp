// The matrix products of the reference model's training, by cria, Eigen and, where it is found, oneDNN, as
// the step calls them: every thread multiplies operands of its own, 1,024 rows (256 of the head). Names:
// gemm/<library>/<dtype>/<weight>/<forward|dx|dweight>/threads:<threads>. And products of small square
// matrices, each by all threads together: gemm/<library>/float32/square/<size>/threads:<threads>.

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "cria/backend/cpu/gemm.hpp"
#include "eigen_product.hpp"

namespace {

using namespace cria;

template <class T>
using Matrices = std::vector<std::vector<T>>;

template <class T>
Matrices<T> matrices(int threads, std::int64_t size) {
  return {static_cast<std::size_t>(threads), std::vector<T>(static_cast<std::size_t>(size))};
}

/// Adds c [m, n] = a b over k; transposed operands lie in memory as [k, m] and [n, k].
template <class T, class C, class Gemm>
void add(const std::string& name, std::int64_t m, std::int64_t n, std::int64_t k, bool a_transposed,
         bool b_transposed, bool accumulate, Gemm gemm) {
  const int threads = available_threads();
  benchmark::RegisterBenchmark(
      (name + "/threads:" + std::to_string(threads)).c_str(),
      [=](benchmark::State& state) {
        const auto a = matrices<T>(threads, m * k), b = matrices<T>(threads, n * k);
        auto c = matrices<C>(threads, m * n);
        for (auto _ : state) {
          run_on_threads(threads, [&](int thread) {
            const auto i = static_cast<std::size_t>(thread);
            const Rows<const T> left =
                a_transposed ? Rows<const T>{a[i].data(), k, m} : Rows<const T>{a[i].data(), m, k};
            const Rows<const T> right =
                b_transposed ? Rows<const T>{b[i].data(), n, k} : Rows<const T>{b[i].data(), k, n};
            gemm(Operand<T>{left, a_transposed}, Operand<T>{right, b_transposed}, accumulate,
                 Rows<C>{c[i].data(), m, n});
          });
        }
        state.counters["FLOP/s"] = benchmark::Counter(2.0 * static_cast<double>(m * n * k * threads),
                                                      benchmark::Counter::kIsIterationInvariantRate);
      })
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime();
}

template <class T, class Gemm>
void add_all(const std::string& library, Gemm gemm) {
  struct Weight {
    const char* name;
    std::int64_t out, in, rows;
  };
  for (const Weight& w : {Weight{"q_proj", 288, 288, 1024}, Weight{"k_proj", 72, 288, 1024},
                          Weight{"gate_proj", 768, 288, 1024}, Weight{"down_proj", 288, 768, 1024},
                          Weight{"head", 4096, 288, 256}}) {
    const std::string name = "gemm/" + library + "/" + std::string(dtype_name<T>) + "/" + w.name;
    add<T, T>(name + "/forward", w.rows, w.out, w.in, false, true, false, gemm);
    add<T, T>(name + "/dx", w.rows, w.in, w.out, false, false, false, gemm);
    add<T, acc_t<T>>(name + "/dweight", w.out, w.in, w.rows, true, false, true, gemm);
  }
}

template <class Gemm>
void add_squares(const std::string& library, Gemm gemm) {
  for (const std::int64_t size : {4, 16, 24, 28, 32, 64, 128}) {
    benchmark::RegisterBenchmark(
        ("gemm/" + library + "/float32/square/" + std::to_string(size) +
         "/threads:" + std::to_string(available_threads()))
            .c_str(),
        [=](benchmark::State& state) {
          std::vector<float> a(static_cast<std::size_t>(size * size)), b = a, c = a;
          const Operand<float> left{{a.data(), size, size}, false}, right{{b.data(), size, size}, false};
          for (auto _ : state) gemm(left, right, false, Rows<float>{c.data(), size, size});
        })
        ->UseRealTime();
  }
}

const bool added = [] {
  cpu::library_product<bfloat16, bfloat16> = nullptr;
  cpu::library_product<bfloat16, float> = nullptr;
  const auto cria = [](const auto&... arguments) { cpu::gemm(arguments...); };
  add_all<float>("cria", cria);
  add_all<bfloat16>("cria", cria);
  add_all<float16>("cria", cria);
  add_squares("cria", cria);
  const auto eigen = [](const auto&... arguments) { benchmarks::eigen_product(arguments...); };
  add_all<float>("eigen", eigen);
  add_squares("eigen", eigen);
#ifdef CRIA_ONEDNN
  const auto onednn = [](const auto&... arguments) { cpu::onednn::gemm(arguments...); };
  add_all<float>("onednn", onednn);
  add_squares("onednn", onednn);
#ifdef __AVX512BF16__
  add_all<bfloat16>("onednn", onednn);
#endif
#endif
  return true;
}();

}  // namespace
