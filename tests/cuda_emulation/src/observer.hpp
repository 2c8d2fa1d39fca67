#pragma once
/// What the checker learns from the runtime. The other flavours have no observer.

#include <cstddef>

namespace cuda_emulation {

struct Grid;

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void grid_begins(const Grid& grid) = 0;
  virtual void grid_ends(const Grid& grid) = 0;
  virtual void block_begins() = 0;
  virtual void fence() = 0;
  virtual void allocated(const void* memory, std::size_t size) = 0;
  virtual void freed(const void* memory, std::size_t size) = 0;
  /// Copies, fills and cuBLAS; `what` names the reader in a report.
  virtual void library_writes(const void* memory, std::size_t size) = 0;
  virtual void library_reads(const void* memory, std::size_t size, const char* what) = 0;
  virtual void library_copies(const void* to, const void* from, std::size_t size) = 0;
};

extern constinit Observer* observer;

}  // namespace cuda_emulation
