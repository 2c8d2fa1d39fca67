#pragma once
/// Runs the blocks of a grid one after the other, and the threads of a block on fibers.
///
/// Fibers are lazy: a fiber runs one thread after the other in a plain loop, and only when a thread has to
/// wait does another fiber go on with the loop. A kernel without barriers uses one fiber and no switch.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cuda_emulation/launch.hpp"
#include "cuda_emulation/rendezvous.hpp"
#include "fiber.hpp"

namespace cuda_emulation {

struct Grid {
  Kernel kernel;
  std::string name;
  dim3 blocks, threads;
  std::size_t shared_memory;
};

class Scheduler {
 public:
  /// Marks the emulation's own work, which the checker ignores: it may run functions of the standard library
  /// that are instrumented because the program uses them too.
  class Aside {
   public:
    explicit Aside(Scheduler& scheduler) : scheduler_(scheduler), before_(scheduler.in_thread_) {
      scheduler.in_thread_ = false;
    }
    ~Aside() { scheduler_.in_thread_ = before_; }
    Aside(const Aside&) = delete;
    Aside& operator=(const Aside&) = delete;

   private:
    Scheduler& scheduler_;
    bool before_;
  };

  /// The one of the calling thread of the host.
  static Scheduler& of_this_thread();
  /// The same while it runs a grid, else null.
  static constinit thread_local Scheduler* running;

  /// Runs all blocks; a block with an error is given up after its report.
  void run(const Grid& grid);

  void barrier(Site site);
  void rendezvous(WarpOperation operation, unsigned mask, void* message, Combine combine, Site site);
  /// Gives up the running block.
  [[noreturn]] void abandon_block();

  const Grid& grid() const { return *grid_; }
  char* shared_memory() const { return shared_memory_; }
  static constexpr std::size_t kSharedMemory = 256 << 10;
  unsigned thread() const { return current_->thread; }
  unsigned lane() const { return current_->thread & 31; }
  unsigned running_lanes() const { return warps_[current_->thread >> 5].running; }
  std::uint64_t block() const { return block_; }
  /// How many blocks of any grid have begun, the running one included.
  std::uint64_t blocks_run() const { return blocks_run_; }
  /// How many barriers the block, and how many __syncwarp the warp has passed.
  unsigned block_epoch() const { return block_epoch_; }
  unsigned warp_epoch() const { return warps_[current_->thread >> 5].epoch; }
  /// How many barriers and warp operations of any kind the running thread's warp has passed.
  unsigned meetings() const { return block_epoch_ + warps_[current_->thread >> 5].meetings; }
  /// Does the kernel's code run now, and not the emulation's?
  bool in_thread() const { return in_thread_; }
  const Fiber& current() const { return *current_; }
  const std::vector<Fiber*>& fibers() const { return fibers_; }

 private:
  // Lanes that wait for each other.
  struct Group {
    unsigned mask, arrived;
    WarpOperation operation;
    Combine combine;
    Site site;
  };
  struct Warp {
    unsigned existing, running, epoch, meetings;
    int groups;
    Group group[32];
    void* messages[32];
    Fiber* fibers[32];
  };

  Scheduler();
  ~Scheduler();
  static void fiber_main();
  void run_threads();
  void run_block(std::uint64_t block);
  void thread_exits();
  void suspend();
  void switch_to(Fiber& fiber);
  Fiber& idle_fiber();
  void make_ready(Fiber* fiber) { ready_.push_back(fiber); }
  void release_barrier();
  void complete(Warp& warp, int group, const Fiber* last);
  std::string describe_waiting() const;
  std::uint32_t random();

  const Grid* grid_ = nullptr;
  Fiber host_;
  Fiber* current_ = &host_;
  std::vector<Fiber*> fibers_, idle_;
  std::vector<Fiber*> ready_, waiting_;  // ready_ from next_ready_ on
  std::size_t next_ready_ = 0;
  std::vector<Warp> warps_;
  std::vector<unsigned> order_;  // of threads, from next_thread_ on not yet started
  unsigned next_thread_ = 0, running_threads_ = 0, exited_threads_ = 0;
  Site barrier_site_;
  std::uint64_t block_ = 0, blocks_run_ = 0;
  unsigned block_epoch_ = 0;
  bool abandoned_ = false, in_thread_ = false, reverse_ = false, random_ = false;
  std::uint32_t random_state_ = 1;
  char* shared_memory_ = nullptr;
};

}  // namespace cuda_emulation
