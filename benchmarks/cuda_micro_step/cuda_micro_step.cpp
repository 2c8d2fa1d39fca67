// What a micro-step does on a GPU, counted under the emulation of CUDA, and how long it should take by that.
// Nothing is timed. cuda_micro_step [kernels | accesses | models]... prints, by default all:
//   kernels   launches, bytes of device memory, operations and predicted microseconds of each kernel for the
//             reference model. Two small batches are run; all counts grow by the same amount with each
//             sequence.
//   accesses  sectors and bank conflicts of each kernel, for heads of 36, 64 and 128
//   models    predicted tokens/s of larger models, by the counts of a small one

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>

#include "accesses.hpp"
#include "models.hpp"

namespace {

using namespace micro_step;

nn::LlamaConfig reference_model() {
  nn::LlamaConfig config;
  config.recompute = nn::Recompute::none;  // a GPU has the memory
  return config;
}

void print_kernels() {
  const nn::LlamaConfig config = reference_model();
  constexpr std::int64_t batch = 128;
  counted(config, 1);  // what is done once is left out
  const Counts one = counted(config, 1);
  const Counts counts = extrapolated(one, counted(config, 2), static_cast<double>(batch - 1));
  nn::LlamaConfig smaller = config;
  --smaller.num_hidden_layers;
  std::vector<std::pair<std::string, Count>> rows(counts.begin(), counts.end());
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return seconds(a.second, a100, narrow_product_share) > seconds(b.second, a100, narrow_product_share);
  });
  const auto tokens = batch * config.max_position_embeddings;
  std::printf(
      "A micro-step of the reference model, %lld sequences of %lld tokens, bfloat16: counted, not timed.\n\n",
      static_cast<long long>(batch), static_cast<long long>(config.max_position_embeddings));
  std::printf("| kernel | launches | MB read | MB written | GFLOP | A100 us | H100 us |\n");
  std::printf("| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
  rows.emplace_back("all", total(counts));
  for (const auto& [name, count] : rows) {
    std::printf("| %s | %.0f | %.1f | %.1f | %.1f |", name.c_str(), count.launches, count.bytes_read * 1e-6,
                count.bytes_written * 1e-6, count.flops * 1e-9);
    for (const Gpu& gpu : {a100, h100}) {
      const double time = name == "all" ? seconds(counts, gpu, narrow_product_share, 0)
                                        : seconds(count, gpu, narrow_product_share);
      std::printf(" %.0f |", time * 1e6);
    }
    std::printf("\n");
  }
  std::printf("\nlaunches a layer: %.0f\n", total(one).launches - total(counted(smaller, 1)).launches);
  for (const Gpu& gpu : {a100, h100}) {
    const double plain = seconds(counts, gpu, narrow_product_share, launch_seconds);
    const double graph = seconds(counts, gpu, narrow_product_share, graph_launch_seconds);
    std::printf("%s, predicted: %.0f thousand tokens/s, %.0f as a graph, %.0f %% of the speed of light\n",
                gpu.name, static_cast<double>(tokens) / plain * 1e-3,
                static_cast<double>(tokens) / graph * 1e-3, 100 * share_of_light(counts, gpu, graph));
  }
  std::printf("\n");
}

}  // namespace

int main(int count, char** arguments) try {
  const auto wanted = [&](const char* what) {
    return count == 1 || std::any_of(arguments + 1, arguments + count,
                                     [&](const char* argument) { return std::strcmp(argument, what) == 0; });
  };
  if (wanted("kernels")) print_kernels();
  if (wanted("accesses")) {
    print_accesses(reference_model());
    for (const std::int64_t heads : {8, 4}) print_accesses(shape(512, 1, heads, 2, 1024, 4096, 256));
  }
  if (wanted("models")) print_models();
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
