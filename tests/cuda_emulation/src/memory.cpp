#include "memory.hpp"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fault.hpp"
#include "observer.hpp"
#include "report.hpp"
#include "settings.hpp"

namespace cuda_emulation {
namespace {

constexpr std::size_t kRedZone = 256;
constexpr std::size_t kCheckedRedZone = 64;
constexpr std::size_t kQuarantine = 64 << 20;
constexpr int kFresh = 0xFF, kRed = 0xDB, kFreed = 0xDF;
constexpr std::size_t kHugePage = 2 << 20;

std::size_t round_up(std::size_t n, std::size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}
std::size_t with_red_zones(std::size_t size) {
  return round_up(size, kRedZone) + 2 * kRedZone;
}

// The first byte of the zone that is not as it was; null if all are.
const unsigned char* damage(const unsigned char* zone) {
  for (std::size_t i = 0; i < kCheckedRedZone; ++i)
    if (zone[i] != kRed) return zone + i;
  return nullptr;
}

}  // namespace

DeviceMemory& DeviceMemory::instance() {
  static DeviceMemory memory;
  return memory;
}

DeviceMemory::DeviceMemory() {
  // Red zones and fragments take more addresses than the device has memory. Huge pages make opening and
  // closing cheap.
  reserved_ = round_up(device().memory + device().memory / 4, kHugePage) + kHugePage;
  void* const wished = reinterpret_cast<void*>(0x500000000000);
  void* memory = mmap(wished, reserved_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("cuda_emulation: no address space for the device's memory; set CUDA_EMULATION_MEMORY_MIB");
    std::abort();
  }
  base_ = top_ = round_up(reinterpret_cast<std::uintptr_t>(memory), kHugePage);
  reserved_ -= kHugePage;
  madvise(reinterpret_cast<void*>(base_), reserved_, MADV_HUGEPAGE);
  free_[base_] = reserved_;
  install_fault_handler();
}

void DeviceMemory::protect(int protection) {
  if (top_ > base_) mprotect(reinterpret_cast<void*>(base_), round_up(top_ - base_, kHugePage), protection);
}

DeviceMemory::Access::Access() {
  auto& memory = instance();
  if (memory.accesses_++ == 0) memory.protect(PROT_READ | PROT_WRITE);
}

DeviceMemory::Access::~Access() {
  auto& memory = instance();
  if (--memory.accesses_ == 0) {
    memory.protect(PROT_NONE);
    install_fault_handler();  // test frameworks put theirs in its place
  }
}

// First fit.
std::uintptr_t DeviceMemory::take(std::size_t size) {
  for (auto i = free_.begin(); i != free_.end(); ++i)
    if (i->second >= size) {
      const auto [address, available] = *i;
      free_.erase(i);
      if (available > size) free_[address + size] = available - size;
      return address;
    }
  return 0;
}

void DeviceMemory::give_back(std::uintptr_t address, std::size_t size) {
  auto next = free_.lower_bound(address);
  if (next != free_.end() && next->first == address + size) {
    size += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    const auto previous = std::prev(next);
    if (previous->first + previous->second == address) {
      previous->second += size;
      return;
    }
  }
  free_[address] = size;
}

void DeviceMemory::release_oldest() {
  const Block block = quarantine_.front();
  quarantine_.pop_front();
  quarantined_ -= block.size;
  give_back(block.address, block.size);
}

void* DeviceMemory::allocate(std::size_t size) {
  if (size > device().memory || used_ + size > device().memory) return nullptr;
  const std::size_t total = with_red_zones(size);
  std::uintptr_t start = take(total);
  while (start == 0 && !quarantine_.empty()) {
    release_oldest();
    start = take(total);
  }
  if (start == 0) return nullptr;
  top_ = std::max(top_, start + total);
  const Access access;
  const std::uintptr_t address = start + kRedZone;
  auto* const bytes = reinterpret_cast<char*>(address);
  std::memset(bytes - kRedZone, kRed, kRedZone);
  std::memset(bytes, kFresh, size);
  std::memset(bytes + size, kRed, total - kRedZone - size);
  live_[address] = {address, size, next_number_++};
  used_ += size;
  if (observer) observer->allocated(bytes, size);
  return bytes;
}

bool DeviceMemory::free(void* pointer) {
  const auto found = live_.find(reinterpret_cast<std::uintptr_t>(pointer));
  if (found == live_.end()) return false;
  const Allocation allocation = found->second;
  live_.erase(found);
  used_ -= allocation.size;
  {
    const Access access;
    std::memset(pointer, kFreed, allocation.size);
  }
  if (observer) observer->freed(pointer, allocation.size);
  const std::size_t total = with_red_zones(allocation.size);
  quarantine_.push_back({allocation.address - kRedZone, total});
  quarantined_ += total;
  while (quarantined_ > kQuarantine) release_oldest();
  return true;
}

const Allocation* DeviceMemory::find(std::uintptr_t address) const {
  auto next = live_.upper_bound(address);
  if (next == live_.begin())
    return next != live_.end() && contains(reinterpret_cast<void*>(address)) &&
                   next->first - address <= kRedZone
               ? &next->second
               : nullptr;
  const Allocation& previous = std::prev(next)->second;
  if (next != live_.end() && next->first - address <= kRedZone &&
      address >= previous.address + previous.size + kRedZone)
    return &next->second;
  return contains(reinterpret_cast<void*>(address)) ? &previous : nullptr;
}

bool DeviceMemory::valid(const void* pointer, std::size_t size) const {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  const auto next = live_.upper_bound(address);
  if (next == live_.begin()) return false;
  const Allocation& allocation = std::prev(next)->second;
  return address + size <= allocation.address + allocation.size;
}

void DeviceMemory::check_red_zones(const char* writer) {
  for (const auto& [address, allocation] : live_) {
    auto* const bytes = reinterpret_cast<unsigned char*>(address);
    for (unsigned char* zone : {bytes - kCheckedRedZone, bytes + allocation.size})
      if (const unsigned char* byte = damage(zone)) {
        report("write outside of device allocation #%u (%zu bytes) at offset %td, noticed after %s",
               allocation.number, allocation.size, byte - bytes, writer);
        std::memset(zone, kRed, kCheckedRedZone);
      }
  }
}

}  // namespace cuda_emulation
