#pragma once
/// Parts of a dimension, as kernels take them one after the other.

#include <algorithm>
#include <cstdint>

namespace cria::cpu {

/// A part of a dimension: [first, first + size).
struct Section {
  std::int64_t first, size;
};

/// Calls f(section) for sections that cover `whole`, each `size` long but for the last.
template <class F>
void for_each_section(Section whole, std::int64_t size, F f) {
  for (std::int64_t done = 0; done < whole.size; done += size) {
    f(Section{whole.first + done, std::min(size, whole.size - done)});
  }
}

/// How many of `count` lines, of so many bytes each, fit in `cache` bytes; at least one.
inline std::int64_t lines_in_cache(std::int64_t count, std::int64_t bytes_of_line, std::int64_t cache) {
  return std::clamp<std::int64_t>(cache / std::max<std::int64_t>(bytes_of_line, 1), 1,
                                  std::max<std::int64_t>(count, 1));
}

}  // namespace cria::cpu
