#include "fault.hpp"

#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>

#include "memory.hpp"
#include "report.hpp"
#include "scheduler.hpp"

namespace cuda_emulation {
namespace {

void handle_fault(int, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  const auto& memory = DeviceMemory::instance();
  const Scheduler* scheduler = Scheduler::running;
  char text[1024], where[512];
  describe_thread(where, sizeof where);
  int length = 0;
  if (memory.contains(info->si_addr)) {
    const Allocation* allocation = memory.find(address);
    length = std::snprintf(text, sizeof text, "cuda_emulation: %s device memory at %p",
                           scheduler ? "a kernel touched" : "HOST code touched", info->si_addr);
    if (allocation)
      length += std::snprintf(text + length, sizeof text - static_cast<std::size_t>(length),
                              ", allocation #%u of %zu bytes, offset %td", allocation->number,
                              allocation->size, static_cast<std::ptrdiff_t>(address - allocation->address));
    length += std::snprintf(text + length, sizeof text - static_cast<std::size_t>(length), "%s\n", where);
  } else if (scheduler) {
    const auto stack = reinterpret_cast<std::uintptr_t>(scheduler->current().stack);
    const bool overflow = address < stack && stack - address <= 4096;
    length =
        std::snprintf(text, sizeof text, "cuda_emulation: segmentation fault at %p%s%s\n", info->si_addr,
                      overflow ? ", the thread's stack is full: raise CUDA_EMULATION_STACK_KIB" : "", where);
  }
  if (length > 0) [[maybe_unused]]
    const auto written = write(2, text, static_cast<std::size_t>(length));
  std::signal(SIGSEGV, SIG_DFL);  // returning repeats the access, which now ends the process
}

}  // namespace

void install_fault_handler() {
  static char handler_stack[64 << 10];
  stack_t current{};
  if (sigaltstack(nullptr, &current) == 0 && (current.ss_flags & SS_DISABLE)) {
    stack_t mine{};
    mine.ss_sp = handler_stack;
    mine.ss_size = sizeof handler_stack;
    sigaltstack(&mine, nullptr);
  }
  struct sigaction action {};
  action.sa_sigaction = handle_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, nullptr);
}

}  // namespace cuda_emulation
