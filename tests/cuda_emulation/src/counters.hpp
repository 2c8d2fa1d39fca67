#pragma once

#include <string>

#include "cuda_emulation/counters.hpp"

namespace cuda_emulation {

/// The counters under this name, to add to.
KernelCounters& counters_of(const std::string& name);

void count_pageable_copy();

/// The chk flavour's; the others have none.
struct LineCounting {
  std::vector<LineCounters> (*read)();
  void (*reset)();
  void (*enable)(bool on);
};
extern constinit LineCounting line_counting;

}  // namespace cuda_emulation
