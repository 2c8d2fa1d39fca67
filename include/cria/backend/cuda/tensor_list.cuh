#pragma once
/// Many arrays that one launch goes through, each block with a chunk of one of them.

#include <algorithm>
#include <span>
#include <vector>

#include "cria/backend/cuda/cuda.hpp"
#include "cria/backend/cuda/launch.hpp"
#include "cria/backend/cuda/staging.hpp"

namespace cria::cuda {

/// The list as kernels get it.
template <class Entry>
struct TensorListView {
  struct Item {
    Entry entry;
    std::int64_t size, first_chunk;
  };
  /// What a block works on: elements [begin, end) of an entry.
  struct Chunk {
    const Entry& entry;
    std::int64_t begin, end;
  };
  static constexpr std::int64_t chunk_size = 8192;

  const Item* items;
  std::int64_t count;

  __device__ Chunk chunk(std::int64_t index) const {
    std::int64_t low = 0;
    for (std::int64_t high = count; high - low > 1;) {
      const std::int64_t middle = (low + high) / 2;
      (items[middle].first_chunk <= index ? low : high) = middle;
    }
    const Item& item = items[low];
    const std::int64_t begin = (index - item.first_chunk) * chunk_size;
    return {item.entry, begin, std::min(begin + chunk_size, item.size)};
  }
};

/// Holds the entries in device memory. size_of(entry): how many elements one has, at least one.
template <class Entry>
class TensorList {
 public:
  using View = TensorListView<Entry>;

  template <class SizeOf>
  TensorList(std::span<const Entry> entries, SizeOf size_of)
      : items_(static_cast<std::int64_t>(entries.size())) {
    std::vector<typename View::Item> items;
    for (const Entry& entry : entries) {
      items.push_back({entry, size_of(entry), chunks_});
      chunks_ += (items.back().size + View::chunk_size - 1) / View::chunk_size;
    }
    Staging::of_thread().copy(items_.data(), items.data(), items.size() * sizeof(items[0]));
  }

  std::int64_t chunks() const { return chunks_; }
  View view() const { return {items_.data(), items_.vec().size}; }

 private:
  Scratch<typename View::Item> items_;
  std::int64_t chunks_ = 0;
};
template <class Entry, class SizeOf>
TensorList(std::span<const Entry>, SizeOf) -> TensorList<Entry>;

/// Calls work(i, Size) for the packs of [begin, end) that are this thread's, begin being a multiple of Size,
/// then work(i, 1) for the rest: for all, if packs do not fit the arrays. Size and 1 come as types.
template <int Size, class Work>
__device__ __forceinline__ void for_each_pack(bool packs, std::int64_t begin, std::int64_t end, Work work) {
  const std::int64_t packs_end = packs ? end / Size * Size : begin;
  for (std::int64_t i = begin + Size * threadIdx.x; i < packs_end; i += Size * blockDim.x) {
    work(i, std::integral_constant<int, Size>());
  }
  for (std::int64_t i = packs_end + threadIdx.x; i < end; i += blockDim.x) {
    work(i, std::integral_constant<int, 1>());
  }
}

}  // namespace cria::cuda
