#pragma once
/// Look-alike of CUDA's make_float4(x, y, z, w) and its kin.

#include "vector_types.h"

#define CUDA_EMULATION_MAKE(T, name)                     \
  constexpr name##1 make_##name##1(T x) {                \
    return {x};                                          \
  }                                                      \
  constexpr name##2 make_##name##2(T x, T y) {           \
    return {x, y};                                       \
  }                                                      \
  constexpr name##3 make_##name##3(T x, T y, T z) {      \
    return {x, y, z};                                    \
  }                                                      \
  constexpr name##4 make_##name##4(T x, T y, T z, T w) { \
    return {x, y, z, w};                                 \
  }
CUDA_EMULATION_MAKE(signed char, char)
CUDA_EMULATION_MAKE(unsigned char, uchar)
CUDA_EMULATION_MAKE(short, short)
CUDA_EMULATION_MAKE(unsigned short, ushort)
CUDA_EMULATION_MAKE(int, int)
CUDA_EMULATION_MAKE(unsigned int, uint)
CUDA_EMULATION_MAKE(float, float)
#undef CUDA_EMULATION_MAKE

constexpr longlong2 make_longlong2(long long x, long long y) {
  return {x, y};
}
constexpr ulonglong2 make_ulonglong2(unsigned long long x, unsigned long long y) {
  return {x, y};
}
constexpr double2 make_double2(double x, double y) {
  return {x, y};
}
