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
#include "runtime.hpp"
#include "scheduler.hpp"
#include "symbols.hpp"

extern "C" const char __executable_start, _end;

namespace cuda_emulation {
namespace {

// Four bytes share a cell until somebody accesses less of them; then each two bytes have their own, which is
// enough for the 16-bit types.
constexpr std::size_t kGranule = 4, kPiece = 2;

struct [[gnu::packed, gnu::aligned(2)]] Moment {
  std::uint32_t grid = 0;  // counts from 1; 0: never
  std::uint32_t block =
      0;  // of device memory: within its grid; of shared memory: counts all blocks that ever ran
  std::uint16_t thread = 0, block_epoch = 0, warp_epoch = 0;
};

struct Cell {
  Moment write, read;
  // A bit for each byte of a piece; a whole granule has both set or none.
  std::uint8_t allocated : 2, initialized : 2, written : 2, was_read : 2;
  std::uint8_t atomic : 1;  // the last write
  // Besides the last reader: did another lane of its warp read since the last __syncwarp, another warp of its
  // block since the last __syncthreads, another block of the grid?
  std::uint8_t lanes_read : 1, warps_read : 1, blocks_read : 1;
  std::uint8_t divided : 1;  // of a granule: its pieces have the cells
};
static_assert(sizeof(Cell) == 30);

Cell* map_cells(std::size_t count) {
  void* const memory = mmap(nullptr, count * sizeof(Cell), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("cuda_emulation: no address space for the checker; set CUDA_EMULATION_MEMORY_MIB");
    std::abort();
  }
  return static_cast<Cell*>(memory);
}

// A range of addresses and its cells.
struct Range {
  std::uintptr_t begin = 0;
  std::size_t size = 0;
  Cell* granules = nullptr;
  Cell* pieces = nullptr;

  Range() = default;
  Range(std::uintptr_t begin_, std::size_t size_)
      : begin(begin_), size(size_), granules(map_cells(size / kGranule)), pieces(map_cells(size / kPiece)) {}

  bool contains(std::uintptr_t address) const { return address - begin < size; }

  // prepare(granule) and then visit(cell, mask, bytes) for the cells of [address, address + count); `mask`
  // tells the bytes of a piece. With `unite`, pieces become one cell again where visit has made them equal.
  template <bool unite, class Prepare, class Visit>
  void for_each_cell(std::uintptr_t address, std::size_t count, Prepare prepare, Visit visit) const {
    const std::uintptr_t first = address - begin, end = first + count;
    for (std::uintptr_t g = first / kGranule; g * kGranule < end; ++g) {
      Cell& granule = granules[g];
      prepare(granule);
      const bool whole = g * kGranule >= first && (g + 1) * kGranule <= end;
      if (whole && !granule.divided) {
        visit(granule, 3u, 4u);
        continue;
      }
      Cell* const halves = pieces + 2 * g;
      if (!granule.divided) {
        halves[0] = halves[1] = granule;
        granule.divided = 1;
      }
      for (std::uintptr_t half = 0; half < 2; ++half) {
        const std::uintptr_t byte = g * kGranule + half * kPiece;
        const unsigned mask =
            (byte >= first && byte < end ? 1u : 0u) | (byte + 1 >= first && byte + 1 < end ? 2u : 0u);
        if (mask) visit(halves[half], mask, static_cast<unsigned>(std::popcount(mask)));
      }
      if (unite && whole) granule = halves[0];
    }
  }
  template <class Visit>
  void for_each_cell(std::uintptr_t address, std::size_t count, Visit visit) const {
    for_each_cell<false>(
        address, count, [](Cell&) {}, visit);
  }
};

// Where a thread of the host has its blocks' shared memory: static (its thread-local segment) and dynamic.
struct SharedMemory {
  Range fixed, dynamic;
};

SharedMemory& shared_memory() {
  static thread_local SharedMemory memory;
  if (!memory.dynamic.granules) {
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* result) {
          auto& range = *static_cast<Range*>(result);
          for (int i = 0; i < info->dlpi_phnum; ++i)
            if (info->dlpi_phdr[i].p_type == PT_TLS && info->dlpi_tls_data)
              range = {reinterpret_cast<std::uintptr_t>(info->dlpi_tls_data) & ~std::uintptr_t{15},
                       (info->dlpi_phdr[i].p_memsz + 31) & ~std::size_t{15}};
          return 1;  // the program itself comes first
        },
        &memory.fixed);
    memory.dynamic = {reinterpret_cast<std::uintptr_t>(Scheduler::running->shared_memory()),
                      Scheduler::kSharedMemory};
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
    device_ = {memory.base(), memory.reserved()};
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
    device_.for_each_cell<true>(
        address_of(memory), size, [](Cell&) {},
        [](Cell& cell, unsigned mask, unsigned) {
          cell = Cell{};
          cell.allocated = mask & 3;
        });
  }
  void freed(const void* memory, std::size_t size) override {
    device_.for_each_cell<true>(
        address_of(memory), size, [](Cell&) {}, [](Cell& cell, unsigned, unsigned) { cell = Cell{}; });
  }
  void library_writes(const void* memory, std::size_t size) override {
    set_initialized(address_of(memory), size, true);
  }
  void library_reads(const void* memory, std::size_t size, const char* what) override {
    bool initialized = true;
    device_.for_each_cell(address_of(memory), size, [&](const Cell& cell, unsigned mask, unsigned) {
      initialized &= (cell.initialized & mask) == mask;
    });
    if (initialized) return;
    report("read of uninitialised device memory by %s, %s", what, describe(address_of(memory), size).c_str());
    fail_for_good();
  }
  void library_copies(const void* to, const void* from, std::size_t size) override {
    std::vector<bool> initialized;  // by byte
    device_.for_each_cell(address_of(from), size, [&](const Cell& cell, unsigned mask, unsigned bytes) {
      if (bytes == 4)
        initialized.insert(initialized.end(), 4, cell.initialized == 3);
      else
        for (unsigned byte = 1; byte <= 2; byte *= 2)
          if (mask & byte) initialized.push_back(cell.initialized & byte);
    });
    for (std::size_t begin = 0, end = 0; begin < size; begin = end) {
      while (end < size && initialized[end] == initialized[begin]) ++end;
      set_initialized(address_of(to) + begin, end - begin, initialized[begin]);
    }
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
    if (constant && !access.write) {
      if (line_counting_enabled) count_idle_lane(scheduler, access);
      return;
    }
    say(access, access.write ? "kernel writes host memory" : "kernel reads host memory");
  }

 private:
  static std::uintptr_t address_of(const void* memory) { return reinterpret_cast<std::uintptr_t>(memory); }

  void set_initialized(std::uintptr_t address, std::size_t size, bool initialized) {
    device_.for_each_cell(address, size, [&](Cell& cell, unsigned mask, unsigned) {
      cell.initialized = (initialized ? cell.initialized | mask : cell.initialized & ~mask) & 3;
    });
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
    device_.for_each_cell(access.address, access.size, [&](const Cell& cell, unsigned mask, unsigned) {
      allocated &= (cell.allocated & mask) == mask;
    });
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
    if (access.misaligned)
      say(access, shared ? "misaligned access to shared memory" : "misaligned access to device memory");
    if (line_counting_enabled) count_line(scheduler, access, shared);
    const Moment now{grid_, static_cast<std::uint32_t>(shared ? scheduler.blocks_run() : scheduler.block()),
                     static_cast<std::uint16_t>(scheduler.thread()),
                     static_cast<std::uint16_t>(scheduler.block_epoch()),
                     static_cast<std::uint16_t>(scheduler.warp_epoch())};
    const auto prepare = [&](Cell& granule) {
      if (!shared || granule.write.block == now.block) return;
      granule = Cell{};  // what an earlier block left
      granule.write.block = now.block;
    };
    if (access.write)
      range.for_each_cell<true>(access.address, access.size, prepare,
                                [&](Cell& cell, unsigned mask, unsigned bytes) {
                                  check_write<shared>(access, cell, mask, bytes, now);
                                });
    else
      range.for_each_cell<false>(access.address, access.size, prepare,
                                 [&](Cell& cell, unsigned mask, unsigned bytes) {
                                   check_read<shared>(access, cell, mask, bytes, now);
                                 });
  }

  template <bool shared>
  void check_read(const Access& access, Cell& cell, unsigned mask, unsigned bytes, const Moment& now) {
    if ((cell.initialized & mask) != mask)
      say(access, shared ? "read of uninitialised shared memory" : "read of uninitialised device memory");
    const bool both_atomic = access.atomic && cell.atomic;
    if (cell.write.grid && (cell.written & mask) && !both_atomic && !ordered(cell.write, now))
      say_race(access,
               shared ? "shared memory race (read after write)" : "device memory race (read after write)",
               cell.write, "write", shared);
    if (access.atomic) return;
    if (!shared && cell.read.grid != now.grid && cell.write.grid != now.grid) counters_->bytes_read += bytes;
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
  void check_write(const Access& access, Cell& cell, unsigned mask, unsigned bytes, const Moment& now) {
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
    if (!shared && cell.write.grid != now.grid) counters_->bytes_written += bytes;
    cell.write = now;
    // Whoever does not race with this write does not race with the reads before it.
    cell.read = {};
    cell.was_read = cell.lanes_read = cell.warps_read = cell.blocks_read = 0;
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
