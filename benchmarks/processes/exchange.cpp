// How fast processes exchange gradients: sums over all of them, beside what MPI alone sends from one to another and back.
// mpirun -n 2 exchange

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "cria/cria.hpp"
#include "cria/dist/mpi.hpp"

namespace {

using namespace cria;

/// As many parameters as a Llama of this width has, in `layers` layers.
struct Model {
  std::vector<nn::Linear<float, Cpu>> layers;
  Model(std::int64_t width, int count) {
    for (int i = 0; i < count; ++i) {
      for (const std::int64_t out : {width, width / 4, width / 4, width, width * 8 / 3, width * 8 / 3}) {
        layers.emplace_back(width, out);
      }
      layers.emplace_back(width * 8 / 3, width);
    }
  }
  static void visit(auto& self, auto&& field) { field("layers", self.layers); }
};

/// Seconds of work(), the least of `rounds`, in which all processes begin together.
template <class F>
double seconds(Communicator& processes, int rounds, F prepare, F work) {
  double best = 1e9;
  for (int round = 0; round < rounds; ++round) {
    prepare();
    all_gather(processes, {0.0});
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    const auto all = all_gather(processes, {taken.count()});
    best = std::min(best, *std::ranges::max_element(all));
  }
  return best;
}

}  // namespace

int main() {
  Mpi processes;
  const bool speaks = processes.rank() == 0;
  use_threads(1);
  // Both send at the same time, as in a sum.
  if (speaks) std::printf("%d processes\n%-34s %12s %10s\n", processes.size(), "", "us", "GB/s");
  std::vector<std::byte> out(std::size_t{1} << 26, std::byte{1}), in(out.size());
  for (std::size_t bytes = 1; bytes <= out.size(); bytes *= 64) {
    const int times = bytes < 100000 ? 200 : 10;
    const auto work = [&] {
      for (int i = 0; i < times; ++i) {
        processes.exchange(processes.rank() ^ 1, std::span(out).first(bytes), std::span(in).first(bytes));
      }
    };
    const double taken = seconds<std::function<void()>>(
                             processes, 5, [] {}, work) /
                         times;
    if (speaks) {
      std::printf("exchange of %10zu bytes         %12.1f %10.2f\n", bytes, taken * 1e6,
                  static_cast<double>(bytes) / taken * 1e-9);
    }
  }
  for (const auto& [width, layers] : {std::pair{288, 8}, std::pair{768, 12}}) {
    Model model(width, layers);
    const ParameterOwners owners(processes, model);
    const double bytes = static_cast<double>(nn::parameter_count(model)) * sizeof(float);
    const std::function<void()> prepare = [&] {
      nn::for_each_parameter(model, [](const std::string&, auto& parameter) {
        parameter.set_grad(Tensor<float, Cpu>::full(parameter.shape(), 1.0f));
      });
    };
    const auto print = [&](const char* what, const std::function<void()>& work) {
      const double taken = seconds(processes, 7, prepare, work);
      if (speaks) {
        std::printf("%-21s of %4.0f MB %14.0f %10.2f\n", what, bytes * 1e-6, taken * 1e6,
                    bytes / taken * 1e-9);
      }
    };
    print("gradients in all", [&] { sum_gradients(owners, model); });
    print("as bfloat16", [&] { sum_gradients<bfloat16>(owners, model); });
    print("gradients at owners", [&] { sum_own_gradients(owners, model); });
    print("values from owners", [&] { gather_values(owners, model); });
  }
}
