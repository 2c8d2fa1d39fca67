#pragma once

#include <cstddef>
#include <cstdint>

#include "cria/core/view.hpp"

namespace cria {

/// `size` uninitialised elements of a backend's memory for a kernel to work in.
template <class T, class B>
class ScratchMemory {
 public:
  explicit ScratchMemory(std::int64_t size) : size_(size), data_(static_cast<T*>(B::allocate(bytes()))) {}
  ~ScratchMemory() { B::deallocate(data_, bytes()); }
  ScratchMemory(const ScratchMemory&) = delete;
  ScratchMemory& operator=(const ScratchMemory&) = delete;

  T* data() const { return data_; }
  T& operator[](std::int64_t i) const { return data_[i]; }
  Vec<T> vec() const { return {data_, size_}; }

 private:
  std::size_t bytes() const { return static_cast<std::size_t>(size_) * sizeof(T); }

  std::int64_t size_;
  T* data_;
};

}  // namespace cria
