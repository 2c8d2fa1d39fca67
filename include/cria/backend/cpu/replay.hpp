#pragma once

#include "cria/backend/cpu/cpu.hpp"
#include "cria/core/operations.hpp"

namespace cria {

/// Calls the work. Threads may call it at once.
template <class Result, class... X>
class Replay<Cpu, Result(X...)> {
 public:
  explicit Replay(bool) {}

  static bool is_possible() { return false; }
  bool replays() const { return false; }

  template <class Work>
  Result operator()(double, Work work, const X&... x) const {
    return work(x...);
  }
  void reset() {}
};

}  // namespace cria
