#pragma once
/// What operations on windows over images refuse.

#include <cstdint>
#include <string>
#include <string_view>

#include "cria/core/check.hpp"
#include "cria/core/convolution.hpp"

namespace cria::detail {

inline void check_sizes(std::string_view op, const Windows& windows) {
  constexpr std::int64_t most = std::int64_t{1} << 30;  // products of two can be counted
  const auto within = [&](std::string_view name, const Size2d& size, std::int64_t least) {
    for (const std::int64_t number : {size.height, size.width}) {
      check::option(number >= least, op, name, number, "it must be at least " + std::to_string(least));
      check::option(number <= most, op, name, number, "it must be at most " + std::to_string(most));
    }
  };
  within("kernel", windows.kernel, 1);
  within("stride", windows.stride, 1);
  within("padding", windows.padding, 0);
  within("dilation", windows.dilation, 1);
}
/// Throws ShapeError unless there is a window.
inline void check_fit(std::string_view op, const Shape& x, const Windows& windows) {
  check_sizes(op, windows);
  if (windows.positions() > 0) return;
  throw ShapeError(std::string(op) + ": x is " + to_string(x) +
                   "; with its padding it must be at least as large as a window, " +
                   std::to_string(windows.dilation.height * (windows.kernel.height - 1) + 1) + " by " +
                   std::to_string(windows.dilation.width * (windows.kernel.width - 1) + 1));
}

}  // namespace cria::detail
