#pragma once
/// Look-alike of CUDA's short vectors, with CUDA's alignments.

#define CUDA_EMULATION_VECTORS(T, name, align2, align4) \
  struct name##1 {                                      \
    T x;                                                \
  };                                                    \
  struct alignas(align2) name##2 {                      \
    T x, y;                                             \
  };                                                    \
  struct name##3 {                                      \
    T x, y, z;                                          \
  };                                                    \
  struct alignas(align4) name##4 {                      \
    T x, y, z, w;                                       \
  };
CUDA_EMULATION_VECTORS(signed char, char, 2, 4)
CUDA_EMULATION_VECTORS(unsigned char, uchar, 2, 4)
CUDA_EMULATION_VECTORS(short, short, 4, 8)
CUDA_EMULATION_VECTORS(unsigned short, ushort, 4, 8)
CUDA_EMULATION_VECTORS(int, int, 8, 16)
CUDA_EMULATION_VECTORS(unsigned int, uint, 8, 16)
CUDA_EMULATION_VECTORS(float, float, 8, 16)
#undef CUDA_EMULATION_VECTORS

struct alignas(16) longlong2 {
  long long x, y;
};
struct alignas(16) ulonglong2 {
  unsigned long long x, y;
};
struct alignas(16) double2 {
  double x, y;
};

struct dim3 {
  unsigned int x, y, z;

  constexpr dim3(unsigned int x_ = 1, unsigned int y_ = 1, unsigned int z_ = 1) : x(x_), y(y_), z(z_) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
  constexpr operator uint3() const { return {x, y, z}; }
};
