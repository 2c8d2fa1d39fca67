#pragma once
/// Neighbouring elements that are loaded and stored together, 16 bytes by one instruction.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cria/backend/cuda/portability.cuh"
#include "cria/core/config.hpp"
#include "cria/core/dtype.hpp"

namespace cria::cuda {

template <class T, int Size>
struct alignas(Size * sizeof(T)) Pack {
  T at[Size];
};

namespace detail {
template <std::size_t Bytes>
using word = std::conditional_t<
    Bytes >= 16, uint4,
    std::conditional_t<Bytes == 8, uint2,
                       std::conditional_t<Bytes == 4, std::uint32_t,
                                          std::conditional_t<Bytes == 2, std::uint16_t, std::uint8_t>>>>;
}

/// The most elements of the largest of these types that 16 bytes hold.
template <class... T>
inline constexpr int widest = 16 / static_cast<int>(std::max({sizeof(T)...}));

template <int Size, class T>
__device__ __forceinline__ Pack<std::remove_const_t<T>, Size> load(T* from) {
  Pack<std::remove_const_t<T>, Size> pack;
  using Word = detail::word<sizeof(pack)>;
  constexpr int words = static_cast<int>(sizeof(pack) / sizeof(Word));
#pragma unroll
  for (int w = 0; w < words; ++w) {
    const Word word = reinterpret_cast<const Word*>(from)[w];
    std::memcpy(static_cast<void*>(pack.at + w * Size / words), &word, sizeof(word));
  }
  return pack;
}
template <class T, int Size>
__device__ __forceinline__ void store(T* to, const Pack<T, Size>& pack) {
  using Word = detail::word<sizeof(pack)>;
  constexpr int words = static_cast<int>(sizeof(pack) / sizeof(Word));
#pragma unroll
  for (int w = 0; w < words; ++w) {
    Word word;
    std::memcpy(&word, pack.at + w * Size / words, sizeof(word));
    reinterpret_cast<Word*>(to)[w] = word;
  }
}

/// Whether packs of Size elements can be moved to or from all of these arrays.
template <int Size, class... T>
CRIA_HOST_DEVICE bool packs_fit(T*... data) {
  return ((reinterpret_cast<std::uintptr_t>(data) % (Size * sizeof(T)) == 0) && ...);
}

/// acc_t<T> of an element and back.
template <class T>
__device__ __forceinline__ acc_t<std::remove_const_t<T>> wide(T value) {
  return static_cast<acc_t<std::remove_const_t<T>>>(value);
}

/// What an element of a gradient becomes: `value`, added to what is there unless that is fresh.
template <class T>
__device__ __forceinline__ T summed(const T& there, bool fresh, acc_t<T> value) {
  return static_cast<T>(fresh ? value : wide(there) + value);
}

}  // namespace cria::cuda
