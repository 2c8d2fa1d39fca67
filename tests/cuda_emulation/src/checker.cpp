// Races, uninitialised reads and accesses outside of allocations, from a shadow cell for every two bytes of
// device and shared memory. Two accesses conflict if one writes and neither an event of CUDA's memory model
// nor the end of the kernel lies between them: other threads of a warp are ordered by __syncwarp, of a block
// by __syncthreads, other blocks by a fence and an atomic operation before the one and an atomic operation on
// the same address before the other.
//
// It can miss a race: a __syncwarp counts for all lanes, a fence for all threads of a block, and of several
// readers of a cell only the last is kept. What it reports is one.

#include "checker.hpp"

#include <link.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "counters.hpp"
#include "cuda_emulation/builtins.hpp"
#include "memory.hpp"
#include "observer.hpp"
#include "report.hpp"
#include "scheduler.hpp"
#include "symbols.hpp"

extern "C" const char __executable_start, _end;

namespace cuda_emulation {
namespace {

constexpr std::size_t kCellBytes = 2;

struct [[gnu::packed, gnu::aligned(2)]] Moment {
  std::uint32_t grid = 0;  // counts from 1; 0: never
  std::uint32_t block =
      0;  // of device memory: within its grid; of shared memory: counts all blocks that ever ran
  std::uint16_t thread = 0, block_epoch = 0, warp_epoch = 0;
};

struct Cell {
  Moment write, read;
  // One bit for each of the two bytes.
  std::uint8_t allocated : 2, initialized : 2, written : 2, was_read : 2;
  std::uint8_t atomic : 1;  // the last write
  // Besides the last reader: did another lane of its warp read since the last __syncwarp, another warp of its
  // block since the last __syncthreads, another block of the grid?
  std::uint8_t lanes_read : 1, warps_read : 1, blocks_read : 1;
};
static_assert(sizeof(Cell) == 30);

Cell* map_cells(std::size_t bytes) {
  void* const memory = mmap(nullptr, (bytes / kCellBytes + 1) * sizeof(Cell), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("cuda_emulation: no address space for the checker; set CUDA_EMULATION_MEMORY_MIB");
    std::abort();
  }
  return static_cast<Cell*>(memory);
}

struct Range {
  std::uintptr_t begin = 0;
  std::size_t size = 0;
  Cell* cells = nullptr;
  bool contains(std::uintptr_t address) const { return address - begin < size; }
};

// Where a thread of the host has its blocks' shared memory: static (its thread-local segment) and dynamic.
struct SharedMemory {
  Range fixed, dynamic;
};

SharedMemory& shared_memory() {
  static thread_local SharedMemory memory;
  if (!memory.dynamic.cells) {
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* result) {
          auto& range = *static_cast<Range*>(result);
          for (int i = 0; i < info->dlpi_phnum; ++i)
            if (info->dlpi_phdr[i].p_type == PT_TLS && info->dlpi_tls_data) {
              range.begin = reinterpret_cast<std::uintptr_t>(info->dlpi_tls_data) & ~std::uintptr_t{15};
              range.size = info->dlpi_phdr[i].p_memsz + 16;
            }
          return 1;  // the program itself comes first
        },
        &memory.fixed);
    memory.fixed.cells = map_cells(memory.fixed.size);
    memory.dynamic = {reinterpret_cast<std::uintptr_t>(Scheduler::running->shared_memory()),
                      Scheduler::kSharedMemory, map_cells(Scheduler::kSharedMemory)};
  }
  return memory;
}

template <class T>
bool is_in(std::uintptr_t address, const T& variable) {
  return address - reinterpret_cast<std::uintptr_t>(&variable) < sizeof variable;
}

bool is_builtin(std::uintptr_t address) {
  return is_in(address, threadIdx) || is_in(address, blockIdx) || is_in(address, blockDim) ||
         is_in(address, gridDim) || is_in(address, Scheduler::running);
}

class Checker final : public Observer {
 public:
  Checker() {
    const auto& memory = DeviceMemory::instance();
    device_ = {memory.base(), memory.reserved(), map_cells(memory.reserved())};
    observer = this;
  }

  // ---- observing the runtime

  void grid_begins(const Grid& grid) override {
    ++grid_;
    reported_.clear();
    released_.clear();
    counters_ = &counters_of(grid.name);
    begin_line_counting(*Scheduler::running);
  }
  void grid_ends(const Grid&) override { end_line_counting(*Scheduler::running); }
  void block_begins() override {
    fenced_ = false;
    acquired_.clear();
    shared_ = &shared_memory();
  }
  void fence() override { fenced_ = true; }
  void allocated(const void* memory, std::size_t size) override {
    Cell cell{};
    cell.allocated = 3;
    Cell* const first = cell_of(device_, memory);
    std::fill_n(first, size / kCellBytes, cell);
    if (size % kCellBytes) {
      cell.allocated = 1;
      first[size / kCellBytes] = cell;
    }
  }
  void freed(const void* memory, std::size_t size) override {
    std::memset(static_cast<void*>(cell_of(device_, memory)), 0, (size + 1) / kCellBytes * sizeof(Cell));
  }
  void library_writes(const void* memory, std::size_t size) override {
    for_each_cell(device_, reinterpret_cast<std::uintptr_t>(memory), size,
                  [](Cell& cell, unsigned mask) { cell.initialized = (cell.initialized | mask) & 3; });
  }
  void library_reads(const void* memory, std::size_t size, const char* what) override {
    bool initialized = true;
    for_each_cell(device_, reinterpret_cast<std::uintptr_t>(memory), size,
                  [&](const Cell& cell, unsigned mask) { initialized &= (cell.initialized & mask) == mask; });
    if (initialized) return;
    report("read of uninitialised device memory by %s, %s", what,
           describe(reinterpret_cast<std::uintptr_t>(memory), size).c_str());
  }
  void library_copies(const void* to, const void* from, std::size_t size) override {
    const auto target = reinterpret_cast<std::uintptr_t>(to), source = reinterpret_cast<std::uintptr_t>(from);
    if ((target | source) % kCellBytes) return library_writes(to, size);
    std::vector<std::uint8_t> initialized;
    for_each_cell(device_, source, size,
                  [&](const Cell& cell, unsigned) { initialized.push_back(cell.initialized); });
    std::size_t i = 0;
    for_each_cell(device_, target, size, [&](Cell& cell, unsigned mask) {
      cell.initialized = ((cell.initialized & ~mask) | (initialized[i++] & mask)) & 3;
    });
  }

  // ---- accesses

  void check_host(const Access& access) {
    if (device_.contains(access.address))
      say(access, access.write ? "HOST code writes device memory" : "HOST code reads device memory");
  }

  void check_kernel(const Scheduler& scheduler, const Access& access) {
    if (device_.contains(access.address)) return check_device(scheduler, access);
    if (shared_->dynamic.contains(access.address)) {
      if (access.address + access.size > shared_->dynamic.begin + scheduler.grid().shared_memory)
        return say(access, "access behind the dynamic shared memory");
      return check_cells<true>(scheduler, shared_->dynamic, access);
    }
    if (shared_->fixed.contains(access.address)) {
      if (!is_builtin(access.address)) check_cells<true>(scheduler, shared_->fixed, access);
      return;
    }
    const Kernel& kernel = scheduler.grid().kernel;
    if (access.address - reinterpret_cast<std::uintptr_t>(kernel.arguments.get()) < kernel.arguments_size)
      return;
    const bool constant = access.address >= reinterpret_cast<std::uintptr_t>(&__executable_start) &&
                          access.address < reinterpret_cast<std::uintptr_t>(&_end);
    if (constant && !access.write) return;
    say(access, access.write ? "kernel writes host memory" : "kernel reads host memory");
  }

 private:
  static Cell* cell_of(const Range& range, const void* memory) {
    return range.cells + (reinterpret_cast<std::uintptr_t>(memory) - range.begin) / kCellBytes;
  }

  // visit(cell, mask of the cell's bytes)
  template <class Visit>
  static void for_each_cell(const Range& range, std::uintptr_t address, std::size_t size, Visit visit) {
    const std::uintptr_t begin = address - range.begin, end = begin + size;
    if ((begin | size) % kCellBytes == 0) {
      Cell* const cells = range.cells + begin / kCellBytes;
      for (std::size_t i = 0; i < size / kCellBytes; ++i) visit(cells[i], 3u);
      return;
    }
    for (std::uintptr_t i = begin / kCellBytes; i * kCellBytes < end; ++i) {
      const unsigned first = i * kCellBytes < begin ? 2 : 3, last = (i + 1) * kCellBytes > end ? 1 : 3;
      visit(range.cells[i], first & last);
    }
  }

  std::string describe(std::uintptr_t address, std::size_t size) const {
    char text[200];
    const Allocation* allocation =
        device_.contains(address) ? DeviceMemory::instance().find(address) : nullptr;
    if (allocation)
      std::snprintf(text, sizeof text, "%zu bytes at offset %td of device allocation #%u (%zu bytes)", size,
                    static_cast<std::ptrdiff_t>(address - allocation->address), allocation->number,
                    allocation->size);
    else if (shared_ && shared_->dynamic.contains(address))
      std::snprintf(text, sizeof text, "%zu bytes at offset %zu of dynamic shared memory", size,
                    static_cast<std::size_t>(address - shared_->dynamic.begin));
    else
      std::snprintf(text, sizeof text, "%zu bytes at %#zx", size, static_cast<std::size_t>(address));
    return text;
  }

  // One report for a place in the code and a kind of bug.
  bool is_new(const Access& access, const char* what) { return reported_.insert({access.code, what}).second; }

  void say(const Access& access, const char* what) {
    if (is_new(access, what))
      report("%s: %s, %s", what, describe(access.address, access.size).c_str(),
             source_line(access.code).c_str());
  }

  void say_race(const Access& access, const char* what, const Moment& other, const char* other_access,
                bool shared) {
    if (!is_new(access, what)) return;
    char block[40] = "";
    if (!shared) std::snprintf(block, sizeof block, " of block %u", other.block);
    report("%s: %s, %s; conflicts with the %s by thread %u%s", what,
           describe(access.address, access.size).c_str(), source_line(access.code).c_str(), other_access,
           other.thread, block);
  }

  void check_device(const Scheduler& scheduler, const Access& access) {
    bool allocated = true;
    for_each_cell(device_, access.address, access.size,
                  [&](const Cell& cell, unsigned mask) { allocated &= (cell.allocated & mask) == mask; });
    if (!allocated)
      return say(access, access.write ? "out-of-bounds device write" : "out-of-bounds device read");
    if (access.atomic) synchronize_blocks(scheduler, access.address);
    check_cells<false>(scheduler, device_, access);
    (access.write ? counters_->requested_written : counters_->requested_read) += access.size;
  }

  // An atomic operation publishes what the block did before its fence, and shows what others published there.
  void synchronize_blocks(const Scheduler& scheduler, std::uintptr_t address) {
    auto& order = released_[address];
    acquired_[address] = order.size();
    if (fenced_) order.emplace(static_cast<std::uint32_t>(scheduler.block()), order.size());
  }
  bool is_acquired(std::uint32_t block) const {
    return std::any_of(acquired_.begin(), acquired_.end(), [&](const auto& acquired) {
      const auto& order = released_.at(acquired.first);
      const auto found = order.find(block);
      return found != order.end() && found->second < acquired.second;
    });
  }

  bool ordered(const Moment& before, const Moment& now) const {
    if (before.grid != now.grid) return true;
    if (before.block != now.block) return is_acquired(before.block);
    if (before.thread == now.thread || before.block_epoch != now.block_epoch) return true;
    return before.thread / 32 == now.thread / 32 && before.warp_epoch != now.warp_epoch;
  }

  template <bool shared>
  void check_cells(const Scheduler& scheduler, const Range& range, const Access& access) {
    if (line_counting_enabled) count_line(scheduler, access, shared);
    const Moment now{grid_, static_cast<std::uint32_t>(shared ? scheduler.blocks_run() : scheduler.block()),
                     static_cast<std::uint16_t>(scheduler.thread()),
                     static_cast<std::uint16_t>(scheduler.block_epoch()),
                     static_cast<std::uint16_t>(scheduler.warp_epoch())};
    for_each_cell(range, access.address, access.size, [&](Cell& cell, unsigned mask) {
      if (shared && cell.write.block != now.block) {  // left by an earlier block
        cell = Cell{};
        cell.write.block = now.block;
      }
      if (access.write)
        check_write<shared>(access, cell, mask, now);
      else
        check_read<shared>(access, cell, mask, now);
    });
  }

  template <bool shared>
  void check_read(const Access& access, Cell& cell, unsigned mask, const Moment& now) {
    if ((cell.initialized & mask) != mask)
      say(access, shared ? "read of uninitialised shared memory" : "read of uninitialised device memory");
    const bool both_atomic = access.atomic && cell.atomic;
    if (cell.write.grid && (cell.written & mask) && !both_atomic && !ordered(cell.write, now))
      say_race(access,
               shared ? "shared memory race (read after write)" : "device memory race (read after write)",
               cell.write, "write", shared);
    if (access.atomic) return;
    if (!shared && cell.read.grid != now.grid && cell.write.grid != now.grid)
      counters_->bytes_read += static_cast<unsigned>(std::popcount(mask));
    note_earlier_reader(cell, now);
    cell.read = now;
    cell.was_read = mask & 3;
  }

  void note_earlier_reader(Cell& cell, const Moment& now) const {
    const Moment& last = cell.read;
    const bool same_grid = last.grid == now.grid;
    cell.blocks_read =
        same_grid && (cell.blocks_read || (last.block != now.block && !is_acquired(last.block)));
    const bool same_interval = same_grid && last.block == now.block && last.block_epoch == now.block_epoch;
    const bool same_warp = last.thread / 32 == now.thread / 32;
    cell.warps_read = same_interval && (cell.warps_read || !same_warp);
    cell.lanes_read = same_interval && same_warp && last.warp_epoch == now.warp_epoch &&
                      (cell.lanes_read || last.thread != now.thread);
  }

  // Does a write now race with the last reader, or another whom the cell remembers?
  bool read_races(const Cell& cell, const Moment& now) const {
    const Moment& last = cell.read;
    if (!ordered(last, now)) return true;
    if (last.grid != now.grid || last.block != now.block) return false;
    if (cell.blocks_read && acquired_.empty()) return true;
    return last.block_epoch == now.block_epoch &&
           (cell.warps_read || (cell.lanes_read && last.warp_epoch == now.warp_epoch));
  }

  template <bool shared>
  void check_write(const Access& access, Cell& cell, unsigned mask, const Moment& now) {
    const bool both_atomic = access.atomic && cell.atomic;
    if (cell.write.grid && (cell.written & mask) && !both_atomic && !ordered(cell.write, now))
      say_race(access,
               shared ? "shared memory race (write after write)" : "device memory race (write after write)",
               cell.write, "write", shared);
    if (cell.read.grid && (cell.was_read & mask) && read_races(cell, now))
      say_race(access,
               shared ? "shared memory race (write after read)" : "device memory race (write after read)",
               cell.read, "read", shared);
    if (access.atomic && (cell.initialized & mask) != mask)
      say(access, shared ? "read of uninitialised shared memory" : "read of uninitialised device memory");
    if (!shared && cell.write.grid != now.grid)
      counters_->bytes_written += static_cast<unsigned>(std::popcount(mask));
    cell.write = now;
    cell.written = mask & 3;
    cell.atomic = access.atomic;
    cell.initialized = (cell.initialized | mask) & 3;
  }

  Range device_;
  SharedMemory* shared_ = nullptr;
  KernelCounters* counters_ = nullptr;
  std::uint32_t grid_ = 0;
  bool fenced_ = false;
  // Address -> blocks that published there -> as the how-manieth; and how many the running block has seen.
  std::unordered_map<std::uintptr_t, std::unordered_map<std::uint32_t, std::size_t>> released_;
  std::unordered_map<std::uintptr_t, std::size_t> acquired_;
  std::set<std::pair<const void*, std::string>> reported_;
};

const Checker checker;

}  // namespace

void check_kernel_access(Scheduler& scheduler, const Access& access) {
  const Scheduler::Aside aside(scheduler);
  static_cast<Checker*>(observer)->check_kernel(scheduler, access);
}

void check_host_access(const Access& access) {
  // The program's own initialisation may come before the checker's.
  if (observer) static_cast<Checker*>(observer)->check_host(access);
}

}  // namespace cuda_emulation
