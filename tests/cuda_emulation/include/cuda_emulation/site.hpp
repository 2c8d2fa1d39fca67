#pragma once
/// A place in the source. (std::source_location is missing from clang 14 with libstdc++ 12.)

namespace cuda_emulation {

struct Site {
  const char* file = "";
  int line = 0;

  static constexpr Site current(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

}  // namespace cuda_emulation
