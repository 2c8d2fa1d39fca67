#include "scheduler.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "cuda_emulation/builtins.hpp"
#include "observer.hpp"
#include "report.hpp"
#include "settings.hpp"

constinit thread_local uint3 threadIdx{};
constinit thread_local uint3 blockIdx{};
constinit thread_local dim3 blockDim{};
constinit thread_local dim3 gridDim{};

namespace cuda_emulation {

constinit thread_local Scheduler* Scheduler::running = nullptr;
constinit Observer* observer = nullptr;

namespace {

uint3 index_of(std::uint64_t linear, dim3 size) {
  return {static_cast<unsigned>(linear % size.x), static_cast<unsigned>(linear / size.x % size.y),
          static_cast<unsigned>(linear / size.x / size.y)};
}

bool same(Site a, Site b) {
  return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

template <class T>
void shuffle(std::vector<T>& values, auto&& random) {
  for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random() % i]);
}

}  // namespace

Scheduler& Scheduler::of_this_thread() {
  static thread_local Scheduler instance;
  return instance;
}

Scheduler::Scheduler() : host_(host_fiber()) {
  void* memory = mmap(nullptr, kSharedMemory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("cuda_emulation: no memory for shared memory");
    std::abort();
  }
  shared_memory_ = static_cast<char*>(memory);
}

Scheduler::~Scheduler() {
  for (Fiber* fiber : fibers_) delete_fiber(fiber);
  munmap(shared_memory_, kSharedMemory);
}

std::uint32_t Scheduler::random() {
  random_state_ ^= random_state_ << 13;
  random_state_ ^= random_state_ >> 17;
  random_state_ ^= random_state_ << 5;
  return random_state_;
}

// ---- a grid -----------------------------------------------------------------------------------------

void Scheduler::run(const Grid& grid) {
  const Schedule schedule = cuda_emulation::schedule();
  reverse_ = schedule.order == Order::reverse;
  random_ = schedule.order == Order::random;
  random_state_ = schedule.seed * 2654435761u | 1u;
  grid_ = &grid;
  const unsigned threads = grid.threads.x * grid.threads.y * grid.threads.z;
  warps_.resize((threads + 31) / 32);
  order_.resize(threads);
  std::iota(order_.begin(), order_.end(), 0u);
  if (reverse_) std::reverse(order_.begin(), order_.end());
  std::vector<std::uint64_t> blocks(std::uint64_t{grid.blocks.x} * grid.blocks.y * grid.blocks.z);
  std::iota(blocks.begin(), blocks.end(), std::uint64_t{0});
  if (reverse_) std::reverse(blocks.begin(), blocks.end());
  if (random_) shuffle(blocks, [this] { return random(); });
  blockDim = grid.threads;
  gridDim = grid.blocks;
  running = this;
  if (observer) observer->grid_begins(grid);
  for (const std::uint64_t block : blocks) run_block(block);
  if (observer) observer->grid_ends(grid);
  running = nullptr;
}

void Scheduler::run_block(std::uint64_t block) {
  const auto threads = static_cast<unsigned>(order_.size());
  block_ = block;
  ++blocks_run_;
  blockIdx = index_of(block, grid_->blocks);
  next_thread_ = exited_threads_ = block_epoch_ = 0;
  running_threads_ = threads;
  abandoned_ = false;
  for (unsigned i = 0; i < warps_.size(); ++i) {
    const unsigned lanes = threads - i * 32;
    warps_[i].existing = warps_[i].running = lanes >= 32 ? ~0u : (1u << lanes) - 1;
    warps_[i].epoch = warps_[i].meetings = 0;
    warps_[i].groups = 0;
  }
  if (random_) shuffle(order_, [this] { return random(); });
  std::memset(shared_memory_, 0xFF, grid_->shared_memory);
  if (observer) observer->block_begins();
  current_ = &host_;
  switch_to(idle_fiber());
  if (abandoned_) {
    ready_.clear();
    waiting_.clear();
    next_ready_ = 0;
    in_thread_ = false;
    idle_ = fibers_;
    for (Fiber* fiber : fibers_) reset_fiber(*fiber, fiber_main);
  }
}

void Scheduler::abandon_block() {
  abandoned_ = true;
  switch_to(host_);
  __builtin_unreachable();
}

// ---- threads ----------------------------------------------------------------------------------------

Fiber& Scheduler::idle_fiber() {
  if (idle_.empty()) {
    fibers_.push_back(new_fiber(stack_size(), fibers_.size()));
    reset_fiber(*fibers_.back(), fiber_main);
    return *fibers_.back();
  }
  Fiber& fiber = *idle_.back();
  idle_.pop_back();
  return fiber;
}

void Scheduler::switch_to(Fiber& fiber) {
  Fiber& from = *current_;
  current_ = &fiber;
  threadIdx = fiber.thread_index;
  switch_fiber(from, fiber);
}

void Scheduler::fiber_main() {
  for (;;) running->run_threads();
}

// What a fiber does between two grids or suspensions: the plain loop over threads that have not started.
void Scheduler::run_threads() {
  Fiber& fiber = *current_;
  const Grid& grid = *grid_;
  const auto run_thread = grid.kernel.run_thread;
  const void* arguments = grid.kernel.arguments.get();
  const auto threads = static_cast<unsigned>(order_.size());
  while (next_thread_ < threads) {
    fiber.thread = order_[next_thread_++];
    threadIdx = fiber.thread_index = index_of(fiber.thread, grid.threads);
    in_thread_ = true;
    run_thread(arguments);
    in_thread_ = false;
    thread_exits();
  }
  idle_.push_back(&fiber);
  if (running_threads_ == 0)
    switch_to(host_);
  else
    suspend();
}

void Scheduler::thread_exits() {
  Warp& warp = warps_[current_->thread >> 5];
  warp.running &= ~(1u << lane());
  --running_threads_;
  ++exited_threads_;
  for (int i = 0; i < warp.groups; ++i)
    if ((warp.group[i].mask & warp.running) == warp.group[i].arrived) {
      complete(warp, i, nullptr);
      break;
    }
  if (!waiting_.empty()) {
    report("a thread exits while %zu threads wait at __syncthreads, %s:%d", waiting_.size(),
           barrier_site_.file, barrier_site_.line);
    abandon_block();
  }
}

// The current thread cannot go on, or has ended; another one runs.
void Scheduler::suspend() {
  const bool unstarted = next_thread_ < order_.size();
  bool ready = next_ready_ < ready_.size();
  if (random_ && ready && unstarted && (random() & 1u)) ready = false;
  if (ready) {
    if (random_)
      std::swap(ready_[next_ready_], ready_[next_ready_ + random() % (ready_.size() - next_ready_)]);
    Fiber* fiber = ready_[next_ready_++];
    if (next_ready_ == ready_.size()) {
      ready_.clear();
      next_ready_ = 0;
    }
    if (fiber == current_)
      threadIdx = fiber->thread_index;
    else
      switch_to(*fiber);
  } else if (unstarted) {
    switch_to(idle_fiber());
  } else {
    report("deadlock, a barrier is not reached by all:%s", describe_waiting().c_str());
    abandon_block();
  }
}

std::string Scheduler::describe_waiting() const {
  std::string text;
  char part[400];
  if (!waiting_.empty()) {
    std::snprintf(part, sizeof part, " %zu threads wait at __syncthreads, %s:%d;", waiting_.size(),
                  barrier_site_.file, barrier_site_.line);
    text += part;
  }
  for (std::size_t i = 0; i < warps_.size() && text.size() < 500; ++i)
    for (int g = 0; g < warps_[i].groups; ++g) {
      const Group& group = warps_[i].group[g];
      std::snprintf(part, sizeof part, " warp %zu: lanes %08x of mask %08x wait at %s:%d;", i, group.arrived,
                    group.mask, group.site.file, group.site.line);
      text += part;
    }
  return text;
}

// ---- __syncthreads ----------------------------------------------------------------------------------

void Scheduler::barrier(Site site) {
  const Aside aside(*this);
  if (exited_threads_ > 0) {
    report("__syncthreads, %s:%d, after %u threads of the block have exited", site.file, site.line,
           exited_threads_);
    abandon_block();
  }
  if (waiting_.empty()) {
    barrier_site_ = site;
  } else if (!same(site, barrier_site_)) {
    report("divergent __syncthreads: some threads wait at %s:%d, one comes to %s:%d", barrier_site_.file,
           barrier_site_.line, site.file, site.line);
    abandon_block();
  }
  waiting_.push_back(current_);
  if (waiting_.size() == running_threads_) release_barrier();
  suspend();
}

void Scheduler::release_barrier() {
  ++block_epoch_;
  if (reverse_) std::reverse(waiting_.begin(), waiting_.end());
  ready_.insert(ready_.end(), waiting_.begin(), waiting_.end());
  waiting_.clear();
}

// ---- warps ------------------------------------------------------------------------------------------

void Scheduler::rendezvous(WarpOperation operation, unsigned mask, void* message, Combine combine,
                           Site site) {
  const Aside aside(*this);
  Warp& warp = warps_[current_->thread >> 5];
  if (!(mask >> lane() & 1u)) {
    report("warp operation, %s:%d: lane %u is not in its own mask %08x", site.file, site.line, lane(), mask);
    abandon_block();
  }
  int index = 0;
  for (; index < warp.groups && warp.group[index].mask != mask; ++index)
    if (warp.group[index].mask & mask) {
      report("warp operation, %s:%d: mask %08x overlaps mask %08x of lanes that wait at %s:%d", site.file,
             site.line, mask, warp.group[index].mask, warp.group[index].site.file,
             warp.group[index].site.line);
      abandon_block();
    }
  Group& group = warp.group[index];
  if (index == warp.groups) {
    ++warp.groups;
    group = {mask, 0, operation, combine, site};
  } else if (group.operation != operation || group.combine != combine) {
    report("warp operation, %s:%d: other lanes of mask %08x are in another operation, %s:%d", site.file,
           site.line, mask, group.site.file, group.site.line);
    abandon_block();
  }
  group.arrived |= 1u << lane();
  warp.messages[lane()] = message;
  warp.fibers[lane()] = current_;
  if (group.arrived == (mask & warp.running)) {
    // The last to come goes on at once, unless another order is wanted.
    complete(warp, index, current_);
    if (!reverse_ && !random_) return;
    make_ready(current_);
  }
  suspend();
}

// Runs a group's combination and makes its lanes ready, except for `last`.
void Scheduler::complete(Warp& warp, int index, const Fiber* last) {
  const Group group = warp.group[index];
  warp.group[index] = warp.group[--warp.groups];
  ++warp.meetings;
  if (group.operation == WarpOperation::synchronize) {
    ++warp.epoch;
  } else if (const unsigned missing = group.mask & warp.existing & ~group.arrived; missing != 0) {
    report("warp operation, %s:%d: lanes %08x of mask %08x have exited without taking part", group.site.file,
           group.site.line, missing, group.mask);
  } else if (const unsigned absent = group.mask & ~warp.existing; absent != 0) {
    report("warp operation, %s:%d: lanes %08x of mask %08x do not exist in this warp", group.site.file,
           group.site.line, absent, group.mask);
  }
  group.combine(warp.messages, group.arrived);
  for (int i = 0; i < 32; ++i) {
    const int lane = reverse_ ? 31 - i : i;
    if ((group.arrived >> lane & 1u) && warp.fibers[lane] != last) make_ready(warp.fibers[lane]);
  }
}

// ---- what kernels call ------------------------------------------------------------------------------

namespace {

Scheduler& running_scheduler(const char* what, Site site) {
  if (!Scheduler::running) {
    std::fprintf(stderr, "cuda_emulation: %s, %s:%d, is called outside of a kernel\n", what, site.file,
                 site.line);
    std::abort();
  }
  return *Scheduler::running;
}

}  // namespace

void block_barrier(Site site) {
  running_scheduler("__syncthreads", site).barrier(site);
}

void warp_rendezvous(WarpOperation operation, unsigned mask, void* message, Combine combine, Site site) {
  running_scheduler("a warp operation", site).rendezvous(operation, mask, message, combine, site);
}

unsigned lane_id() {
  return Scheduler::running->lane();
}
unsigned running_lanes() {
  return Scheduler::running->running_lanes();
}
void* dynamic_shared_memory() {
  return Scheduler::running->shared_memory();
}

void fence() {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (observer) observer->fence();
}

void kernel_error(const char* message, Site site) {
  Scheduler& scheduler = running_scheduler(message, site);
  const Scheduler::Aside aside(scheduler);
  report("%s, %s:%d", message, site.file, site.line);
  scheduler.abandon_block();
}

}  // namespace cuda_emulation
