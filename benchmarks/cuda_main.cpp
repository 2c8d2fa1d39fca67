// The main function of benchmarks on a GPU. It says which GPU and what it reaches at most, or that there is
// none.

#include <benchmark/benchmark.h>

#include <cstdio>
#include <exception>
#include <string>

#include "cria/backend/cuda/description.hpp"
#include "roofline.hpp"

int main(int argc, char** argv) {
  using cria::benchmarks::roofline;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  try {
    benchmark::AddCustomContext("device", cria::cuda::description());
    const auto add = [](const char* name, double value) {
      benchmark::AddCustomContext(name, std::to_string(value));
    };
    add("bytes_per_s", roofline<float>().bytes_per_s);
    add("flops_per_s_float32", roofline<float>().flops_per_s);
    add("flops_per_s_bfloat16", roofline<cria::bfloat16>().flops_per_s);
    add("flops_per_s_float16", roofline<cria::float16>().flops_per_s);
    benchmark::RunSpecifiedBenchmarks();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  benchmark::Shutdown();
}
