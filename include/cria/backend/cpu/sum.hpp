#pragma once
/// Sums of many numbers. One accumulator loses a digit with each power of ten: ten million times 0.1f is off
/// by 8 %. These add up blocks, then the blocks' sums in pairs, so that the error grows with the logarithm of
/// the count. Which numbers meet depends on the count alone, not on threads.

#include <cstdint>

#include "cria/backend/cpu/cpu.hpp"

namespace cria::cpu {

/// f(begin) + ... + f(end - 1), in A. Flattened, because a call to f that is not inlined would keep the loop
/// from being vectorised.
template <class A, class F>
[[gnu::flatten]] A block_sum(std::int64_t begin, std::int64_t end, F f) {
  A sum = 0;
  CRIA_SIMD_SUM(sum)
  for (std::int64_t i = begin; i < end; ++i) sum += f(i);
  return sum;
}

/// Where to cut [begin, end), which is more than one block long: after the first half of its blocks.
inline std::int64_t middle_of_blocks(std::int64_t begin, std::int64_t end, std::int64_t block) {
  return begin + ((end - begin + block - 1) / block) / 2 * block;
}

/// f(begin) + ... + f(end - 1), in A.
template <class A, class F>
A pairwise_sum(std::int64_t begin, std::int64_t end, F f) {
  constexpr std::int64_t block = 1024;
  if (end - begin <= block) return block_sum<A>(begin, end, f);
  const std::int64_t middle = middle_of_blocks(begin, end, block);
  return pairwise_sum<A>(begin, middle, f) + pairwise_sum<A>(middle, end, f);
}

/// The same for `size` sums at once: sum_block(first, last, sums) overwrites `sums` by the sums over a block
/// of [begin, end), which is at most `block` long.
template <class A, class F>
void pairwise_sums(std::int64_t begin, std::int64_t end, std::int64_t block, std::int64_t size, A* sums,
                   F sum_block) {
  if (end - begin <= block) return sum_block(begin, end, sums);
  const std::int64_t middle = middle_of_blocks(begin, end, block);
  pairwise_sums(begin, middle, block, size, sums, sum_block);
  const Scratch<A> rest(size);
  pairwise_sums(middle, end, block, size, rest.data(), sum_block);
  const A* more = rest.data();
  CRIA_SIMD
  for (std::int64_t i = 0; i < size; ++i) sums[i] += more[i];
}

/// Rows that are added up one by one.
inline constexpr std::int64_t block_of_rows = 256;
/// Products that a matrix product, which adds up blocks of its own, may sum up in one.
inline constexpr std::int64_t block_of_depth = 4096;

}  // namespace cria::cpu
