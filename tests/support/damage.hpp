#pragma once
/// Files with something wrong in them.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "cria/core/random.hpp"

namespace cria::test {

/// The bytes of a file with some damage, as the generator draws it: bits flipped, the end cut off, a piece put
/// in another place, numbers made large.
inline std::string damaged(std::string_view valid, Rng& rng) {
  std::string bytes(valid);
  const auto place = [&] { return static_cast<std::size_t>(rng.below(bytes.size())); };
  switch (rng.below(4)) {
    case 0:
      for (std::uint64_t flips = 1 + rng.below(3); flips > 0; --flips) {
        char& byte = bytes[place()];
        byte = static_cast<char>(byte ^ (1 << rng.below(8)));
      }
      break;
    case 1:
      bytes.resize(place());
      break;
    case 2:
      bytes.replace(place(), rng.below(20), valid.substr(rng.below(valid.size()), rng.below(40)));
      break;
    default:
      bytes.replace(place(), 1 + rng.below(4), std::string(1 + rng.below(4), '\xff'));
  }
  return bytes;
}

}  // namespace cria::test
