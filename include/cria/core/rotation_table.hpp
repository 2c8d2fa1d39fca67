#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace cria::detail {

/// cos and sin of position * theta^(-2 d / dim), [positions, dim / 2] each; grown when a later position is
/// asked for. A is float or double.
template <class A>
struct RotationTable {
  std::int64_t dim = 0;
  float theta = 0;
  std::vector<A> cosine, sine;

  void cover(std::int64_t positions, std::int64_t new_dim, float new_theta) {
    if (dim != new_dim || theta != new_theta) *this = {new_dim, new_theta, {}, {}};
    const std::int64_t half = dim / 2;
    const auto size = static_cast<std::size_t>(positions * half);
    for (std::size_t i = cosine.size(); i < size; ++i) {
      const auto position = static_cast<double>(static_cast<std::int64_t>(i) / half);
      const auto d = static_cast<double>(static_cast<std::int64_t>(i) % half);
      const double angle =
          position * std::pow(static_cast<double>(theta), -2.0 * d / static_cast<double>(dim));
      cosine.push_back(static_cast<A>(std::cos(angle)));
      sine.push_back(static_cast<A>(std::sin(angle)));
    }
  }
};

}  // namespace cria::detail
