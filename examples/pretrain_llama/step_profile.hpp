#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "cria/train/step.hpp"

namespace pretrain {

/// Prints what the time of iterations went into as a table, in milliseconds per iteration, the longest first.
/// `replicas`: that work on chunks of their own. `seconds`: of all `iterations` together, by the clock.
inline void print_profile(const cria::StepProfile& profile, std::int64_t replicas, std::int64_t iterations,
                          double seconds) {
  if (iterations == 0) return;
  struct Row {
    std::string operation;
    double forward = 0, backward = 0;
  };
  std::vector<Row> rows;
  const double all = static_cast<double>(iterations), shared = all * static_cast<double>(replicas);
  double rest = seconds / all * 1e3;
  const auto append = [&](const cria::Profile& part, double divisor) {
    for (const auto& [operation, times] : part.times()) {
      auto row = std::find_if(rows.begin(), rows.end(),
                              [&name = operation](const Row& r) { return r.operation == name; });
      if (row == rows.end()) row = rows.insert(rows.end(), {operation});
      const double forward = times.forward / divisor * 1e3, backward = times.backward / divisor * 1e3;
      row->forward += forward;
      row->backward += backward;
      rest -= forward + backward;
    }
  };
  append(profile.chunks, shared);
  append(profile.rest, all);
  std::sort(rows.begin(), rows.end(),
            [](const Row& a, const Row& b) { return a.forward + a.backward > b.forward + b.backward; });
  rows.push_back({"rest, waiting included", rest, 0});
  std::printf("%-24s %12s %12s %8s\n", "ms per iteration", "forward", "backward", "share");
  for (const Row& row : rows) {
    std::printf("%-24s %12.2f %12.2f %7.1f%%\n", row.operation.c_str(), row.forward, row.backward,
                (row.forward + row.backward) / (seconds / all * 1e3) * 100);
  }
}

}  // namespace pretrain
