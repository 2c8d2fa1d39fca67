// Sectors and bank conflicts by line of the source.

#include <algorithm>
#include <array>
#include <compare>
#include <cstdlib>
#include <map>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "checker.hpp"
#include "counters.hpp"
#include "scheduler.hpp"
#include "symbols.hpp"

namespace cuda_emulation {
namespace {

constexpr std::uintptr_t kSector = 32;
constexpr unsigned kBanks = 32, kBankBytes = 4;
// Of one line by one lane; more of the same would tell nothing new.
constexpr unsigned kOccurrences = 256;

struct LaneAccess {
  std::uintptr_t address;
  unsigned size, lane;
};

// How far a thread has come: the meetings of its warp, and the rounds of loops since the last one.
struct Moment {
  unsigned meeting = 0, round = 0;
  auto operator<=>(const Moment&) const = default;
};

// A call of a function, and the last block of its code that began.
struct Frame {
  const void *stack, *block;
};

struct Progress {
  Moment moment;
  std::vector<Frame> frames;
};

// A thread's accesses by an instruction: those at the last such moment, and all.
struct Occurrences {
  Moment moment;
  unsigned now = 0, all = 0;
};

// What one instruction did in one block: the n-th access of each lane of a warp at a moment belongs to the
// same request.
struct Instruction {
  using Request = std::tuple<unsigned, Moment, unsigned>;  // warp, moment, occurrence
  bool shared = false, write = false;
  std::vector<Occurrences> occurrences;  // by thread
  std::map<Request, std::vector<LaneAccess>> requests;
};

std::uint64_t counted_block = 0;
std::vector<Progress> progress(1024);  // by thread
std::unordered_map<const void*, Instruction> instructions;
std::map<std::pair<std::string, const void*>, LineCounters> totals;

template <class T>
std::size_t count_distinct(std::vector<T> values) {
  std::sort(values.begin(), values.end());
  return static_cast<std::size_t>(std::unique(values.begin(), values.end()) - values.begin());
}

void add_sectors(LineCounters& line, const std::vector<LaneAccess>& request) {
  std::vector<std::uintptr_t> sectors, units;  // two bytes are the unit of the fewest sectors
  for (const LaneAccess& access : request) {
    for (std::uintptr_t s = access.address / kSector; s <= (access.address + access.size - 1) / kSector; ++s)
      sectors.push_back(s);
    for (std::uintptr_t u = access.address / 2; u <= (access.address + access.size - 1) / 2; ++u)
      units.push_back(u);
  }
  line.sectors += count_distinct(sectors);
  line.ideal_sectors += (count_distinct(units) * 2 + kSector - 1) / kSector;
}

// Eight-byte accesses pass for 16 lanes at a time, those of 16 bytes for 8; each pass reads one word of each
// bank.
void add_passes(LineCounters& line, const std::vector<LaneAccess>& request) {
  const unsigned size = request.front().size;
  const unsigned lanes = size >= 16 ? 8 : size == 8 ? 16 : 32;
  for (unsigned first = 0; first < 32; first += lanes) {
    std::array<std::vector<std::uintptr_t>, kBanks> words;
    bool any = false;
    for (const LaneAccess& access : request) {
      if (access.lane < first || access.lane >= first + lanes) continue;
      any = true;
      for (std::uintptr_t w = access.address / kBankBytes;
           w <= (access.address + access.size - 1) / kBankBytes; ++w)
        words[w % kBanks].push_back(w);
    }
    if (!any) continue;
    std::size_t passes = 1;
    for (const auto& bank : words) passes = std::max(passes, count_distinct(bank));
    line.passes += passes;
    ++line.ideal_passes;
    line.ways = std::max<std::uint64_t>(line.ways, passes);
  }
}

std::vector<LineCounters> read_lines() {
  std::vector<const void*> addresses;
  for (const auto& [key, line] : totals) addresses.push_back(key.second);
  read_source_lines(addresses);
  std::map<std::tuple<std::string, std::string, bool, bool>, LineCounters> merged;
  for (const auto& [key, line] : totals) {
    const std::string place = source_line(key.second);
    LineCounters& sum = merged[{key.first, place, line.shared, line.write}];
    sum.kernel = key.first;
    sum.line = place;
    sum.shared = line.shared;
    sum.write = line.write;
    sum.requests += line.requests;
    sum.sectors += line.sectors;
    sum.ideal_sectors += line.ideal_sectors;
    sum.passes += line.passes;
    sum.ideal_passes += line.ideal_passes;
    sum.ways = std::max(sum.ways, line.ways);
  }
  std::vector<LineCounters> result;
  for (const auto& [key, line] : merged) result.push_back(line);
  return result;
}

bool is_counted(const Scheduler& scheduler, const Access& access) {
  return !access.atomic && scheduler.block() == counted_block;
}

Progress& progress_of_thread(const Scheduler& scheduler) {
  Progress& thread = progress[scheduler.thread()];
  if (thread.moment.meeting != scheduler.meetings()) thread = {{scheduler.meetings(), 0}, {}};
  return thread;
}

// Counts the running thread's accesses by the instruction.
Occurrences next_occurrence(const Scheduler& scheduler, Instruction& instruction) {
  if (instruction.occurrences.empty()) instruction.occurrences.resize(progress.size());
  Occurrences& of_thread = instruction.occurrences[scheduler.thread()];
  const Moment now = progress_of_thread(scheduler).moment;
  if (of_thread.moment != now) of_thread = {now, 0, of_thread.all};
  const Occurrences before = of_thread;
  ++of_thread.now;
  ++of_thread.all;
  return before;
}

const bool registered = [] {
  line_counting = {read_lines, [] { totals.clear(); }, [](bool on) { line_counting_enabled = on; }};
  return true;
}();

}  // namespace

bool line_counting_enabled = std::getenv("CUDA_EMULATION_LINES") != nullptr;

void begin_line_counting(const Scheduler& scheduler) {
  static_cast<void>(registered);
  const dim3 blocks = scheduler.grid().blocks;
  counted_block = std::uint64_t{blocks.x} * blocks.y * blocks.z / 2;
  progress.assign(progress.size(), {});
}

void count_line(const Scheduler& scheduler, const Access& access, bool shared) {
  if (!is_counted(scheduler, access)) return;
  Instruction& instruction = instructions[access.code];
  instruction.shared = shared;
  instruction.write = access.write;
  const Occurrences occurrence = next_occurrence(scheduler, instruction);
  if (occurrence.all < kOccurrences)
    instruction.requests[{scheduler.thread() / 32, occurrence.moment, occurrence.now}].push_back(
        {access.address, access.size, scheduler.lane()});
}

void count_idle_lane(const Scheduler& scheduler, const Access& access) {
  if (is_counted(scheduler, access)) next_occurrence(scheduler, instructions[access.code]);
}

void end_line_counting(const Scheduler& scheduler) {
  for (const auto& [code, instruction] : instructions) {
    if (instruction.requests.empty()) continue;
    LineCounters& line = totals[{scheduler.grid().name, code}];
    line.shared = instruction.shared;
    line.write = instruction.write;
    for (const auto& [place, request] : instruction.requests) {
      ++line.requests;
      if (instruction.shared)
        add_passes(line, request);
      else
        add_sectors(line, request);
    }
  }
  instructions.clear();
}

}  // namespace cuda_emulation

// Called at the beginning of each block of code in programs that link cuda_emulation_lines. A jump back
// within a function begins another round of a loop.
extern "C" void __sanitizer_cov_trace_pc() {
  using namespace cuda_emulation;
  const Scheduler* const scheduler = Scheduler::running;
  if (!line_counting_enabled || !scheduler || !scheduler->in_thread()) return;
  if (scheduler->block() != counted_block) return;
  const Frame frame{__builtin_frame_address(0), __builtin_return_address(0)};
  Progress& thread = progress_of_thread(*scheduler);
  while (!thread.frames.empty() && thread.frames.back().stack < frame.stack) thread.frames.pop_back();
  if (thread.frames.empty() || thread.frames.back().stack != frame.stack) {
    thread.frames.push_back(frame);
  } else {
    if (frame.block <= thread.frames.back().block) ++thread.moment.round;
    thread.frames.back().block = frame.block;
  }
}
