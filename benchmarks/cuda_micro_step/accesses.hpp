#pragma once
/// How well kernels access memory, by the checker's counts of sectors and passes over the banks.

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "counts.hpp"

namespace micro_step {

/// What a kernel should keep to: sectors moved over the fewest that hold the bytes of each request, and the
/// degree of bank conflicts.
constexpr double sector_limit = 1.25, bank_limit = 2;

/// Of one kernel, each with the line that is worst.
struct Accesses {
  double sectors = 0, ideal_sectors = 0, line_ratio = 0;
  double passes = 0, ideal_passes = 0, ways = 0;
  std::string sector_line, bank_line;

  void add(const cuda_emulation::LineCounters& line) {
    if (line.shared) {
      passes += static_cast<double>(line.passes);
      ideal_passes += static_cast<double>(line.ideal_passes);
      if (static_cast<double>(line.ways) > ways) bank_line = line.line;
      ways = std::max(ways, static_cast<double>(line.ways));
    } else {
      sectors += static_cast<double>(line.sectors);
      ideal_sectors += static_cast<double>(line.ideal_sectors);
      const double ratio = static_cast<double>(line.sectors) / static_cast<double>(line.ideal_sectors);
      if (ratio > line_ratio) sector_line = line.line;
      line_ratio = std::max(line_ratio, ratio);
    }
  }
  double sector_ratio() const { return sectors / ideal_sectors; }
  double pass_ratio() const { return passes > 0 ? passes / ideal_passes : 1; }
};

/// Those of one micro-step with one sequence.
inline std::map<std::string, Accesses> accesses(const nn::LlamaConfig& config) {
  cuda_emulation::count_lines(true);
  run_micro_step(config, 1);
  cuda_emulation::count_lines(false);
  const Sizes sizes(config, config.max_position_embeddings);
  std::map<std::string, Accesses> result;
  for (const auto& line : cuda_emulation::line_counters()) result[short_name(line.kernel, sizes)].add(line);
  return result;
}

inline void print_accesses(const nn::LlamaConfig& config) {
  std::printf(
      "Accesses of a micro-step to memory, head_dim %lld. Sectors of 32 bytes over the fewest that hold "
      "what\n"
      "a warp's instruction asks for; passes over the banks of shared memory over the fewest; the degree of\n"
      "the worst bank conflict.\n\n",
      static_cast<long long>(config.head_size()));
  std::printf(
      "| kernel | sectors | worst line | of it | passes | worst conflict | line | above the limit |\n");
  std::printf("| --- | ---: | --- | ---: | ---: | ---: | --- | --- |\n");
  for (const auto& [name, each] : accesses(config)) {
    const bool many_sectors = each.sector_ratio() > sector_limit, conflicts = each.ways > bank_limit;
    std::printf("| %s | %.2f | %s | %.2f | %.2f | %.0f | %s | %s%s%s |\n", name.c_str(), each.sector_ratio(),
                each.sector_line.c_str(), each.line_ratio, each.pass_ratio(), each.ways,
                each.bank_line.c_str(), many_sectors ? "sectors" : "", many_sectors && conflicts ? ", " : "",
                conflicts ? "banks" : "");
  }
  std::printf("\n");
}

}  // namespace micro_step
