#include "report.hpp"

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <mutex>

#include "cuda_emulation/builtins.hpp"
#include "cuda_emulation/control.hpp"
#include "runtime.hpp"
#include "scheduler.hpp"

namespace cuda_emulation {
namespace {

std::mutex mutex;
std::atomic<int> count = 0;
std::string first;
// A wrong kernel is wrong in many threads; the first lines tell the story.
constexpr int kPrinted = 20;

}  // namespace

void describe_thread(char* text, unsigned long size) {
  text[0] = 0;
  const Scheduler* scheduler = Scheduler::running;
  if (!scheduler) return;
  std::snprintf(text, size, " [kernel %s block (%u,%u,%u) thread (%u,%u,%u)]", scheduler->grid().name.c_str(),
                blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
}

void report(const char* format, ...) {
  char sentence[1024], where[512];
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(sentence, sizeof sentence, format, arguments);
  va_end(arguments);
  describe_thread(where, sizeof where);
  const std::lock_guard lock(mutex);
  if (count++ < kPrinted) std::fprintf(stderr, "cuda_emulation: %s%s\n", sentence, where);
  if (first.empty()) first = std::string(sentence) + where;
}

int report_count() {
  return count;
}

std::string first_report() {
  const std::lock_guard lock(mutex);
  return first;
}

void clear_reports() {
  const std::lock_guard lock(mutex);
  count = 0;
  first.clear();
  clear_errors();
}

}  // namespace cuda_emulation
