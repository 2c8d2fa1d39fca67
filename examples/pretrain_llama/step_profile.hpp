#pragma once

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cria/backend/cpu/parallel.hpp"
#include "cria/core/profile.hpp"

namespace pretrain {

/// What the iterations of a run spend their time on, as a table; does nothing unless it is `enabled`.
class StepProfile {
 public:
  StepProfile(bool enabled, std::int64_t threads) : enabled_(enabled), threads_(threads) {}

  /// While the result lives, this thread's operations count as work on a chunk, of which each thread does its
  /// share: on chunks of its own, or within operations.
  std::optional<cria::ProfileScope> chunk() {
    return scope(cria::cpu::available_threads() == 1 ? chunks_ : iteration_);
  }
  /// The same for what an iteration does once, beside its chunks.
  std::optional<cria::ProfileScope> iteration() { return scope(iteration_); }

  /// Milliseconds per iteration, the longest first. `seconds`: of all `iterations` together, by the clock.
  void print(std::int64_t iterations, double seconds) const {
    if (!enabled_ || iterations == 0) return;
    struct Row {
      std::string operation;
      double forward = 0, backward = 0;
    };
    std::vector<Row> rows;
    const double all = static_cast<double>(iterations), shared = all * static_cast<double>(threads_);
    double rest = seconds / all * 1e3;
    const auto append = [&](const cria::Profile& profile, double divisor) {
      for (const auto& [operation, times] : profile.times()) {
        auto row = std::find_if(rows.begin(), rows.end(),
                                [&name = operation](const Row& r) { return r.operation == name; });
        if (row == rows.end()) row = rows.insert(rows.end(), {operation});
        const double forward = times.forward / divisor * 1e3, backward = times.backward / divisor * 1e3;
        row->forward += forward;
        row->backward += backward;
        rest -= forward + backward;
      }
    };
    append(chunks_, shared);
    append(iteration_, all);
    std::sort(rows.begin(), rows.end(),
              [](const Row& a, const Row& b) { return a.forward + a.backward > b.forward + b.backward; });
    rows.push_back({"rest, waiting included", rest, 0});
    std::printf("%-24s %12s %12s %8s\n", "ms per iteration", "forward", "backward", "share");
    for (const Row& row : rows) {
      std::printf("%-24s %12.2f %12.2f %7.1f%%\n", row.operation.c_str(), row.forward, row.backward,
                  (row.forward + row.backward) / (seconds / all * 1e3) * 100);
    }
  }

 private:
  std::optional<cria::ProfileScope> scope(cria::Profile& profile) {
    return enabled_ ? std::optional<cria::ProfileScope>(std::in_place, profile) : std::nullopt;
  }

  bool enabled_;
  std::int64_t threads_;
  cria::Profile chunks_, iteration_;
};

}  // namespace pretrain
