#pragma once
/// Fibers: threads of execution that are switched by hand, each a CUDA thread that is suspended.

#include <cstddef>
#include <memory>

#include "vector_types.h"

namespace cuda_emulation {

struct Fiber {
  char* stack = nullptr;
  std::size_t stack_size = 0;
  std::size_t mapped_size = 0;  // of the stack and its guard page; 0: not the fiber's own
  void* context = nullptr;      // the saved stack pointer, or a ucontext_t where there is no assembly
  unsigned thread = 0;          // the CUDA thread that runs on it, counted within its block
  uint3 thread_index{};
};

/// The stack that the calling thread of the host runs on, as a fiber to come back to.
Fiber host_fiber();

/// A fiber with a stack and a guard page. Stacks of successive `colour`s start at different cache sets;
/// without that the frames of all fibers compete for the same ones.
Fiber* new_fiber(std::size_t stack_size, std::size_t colour);

void delete_fiber(Fiber* fiber);

/// Makes the fiber start at `entry` (which never returns) when it is switched to; what was on its stack is
/// gone.
void reset_fiber(Fiber& fiber, void (*entry)());

void switch_fiber(Fiber& from, Fiber& to);

}  // namespace cuda_emulation
