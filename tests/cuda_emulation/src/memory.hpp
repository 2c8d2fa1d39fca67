#pragma once
/// Device memory: one range of addresses that is inaccessible (PROT_NONE) except while a kernel or a copy
/// runs, so that host code which dereferences a device pointer is caught.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>

namespace cuda_emulation {

struct Allocation {
  std::uintptr_t address;
  std::size_t size;
  unsigned number;  // counts from 1
};

class DeviceMemory {
 public:
  static DeviceMemory& instance();

  /// Memory filled with NaN between red zones; null if the device is full.
  void* allocate(std::size_t size);
  /// Fills the memory with 0xDF and keeps it unused for a while; false if it is no allocation.
  bool free(void* pointer);
  bool contains(const void* pointer) const {
    return reinterpret_cast<std::uintptr_t>(pointer) - base_ < reserved_;
  }
  /// Is [pointer, pointer + size) inside one allocation?
  bool valid(const void* pointer, std::size_t size) const;
  /// The allocation that the address lies in or nearest behind; null if there is none.
  const Allocation* find(std::uintptr_t address) const;
  /// Reports allocations whose red zones were written to, by `writer`.
  void check_red_zones(const char* writer);

  std::size_t used() const { return used_; }
  std::uintptr_t base() const { return base_; }
  std::size_t reserved() const { return reserved_; }

  /// While an Access exists, the memory is accessible.
  class Access {
   public:
    Access();
    ~Access();
    Access(const Access&) = delete;
    Access& operator=(const Access&) = delete;
  };

 private:
  DeviceMemory();
  void protect(int protection);
  std::uintptr_t take(std::size_t size);
  void give_back(std::uintptr_t address, std::size_t size);
  void release_oldest();

  struct Block {
    std::uintptr_t address;
    std::size_t size;
  };
  std::uintptr_t base_ = 0, top_ = 0;  // of the range, and of what was ever used of it
  std::size_t reserved_ = 0, used_ = 0, quarantined_ = 0;
  int accesses_ = 0;
  unsigned next_number_ = 1;
  std::map<std::uintptr_t, Allocation> live_;
  std::map<std::uintptr_t, std::size_t> free_;  // address -> size
  std::deque<Block> quarantine_;                // freed, oldest first
};

}  // namespace cuda_emulation
