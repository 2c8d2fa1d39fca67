#pragma once
/// What a program did on the emulated device, for benchmarks and roofline predictions.

#include <cstdint>
#include <string>
#include <vector>

namespace cuda_emulation {

/// Sums over all launches of one kernel, of one shape of cuBLAS product ("gemm bfloat16 TN 128x288x768"), or
/// of one kind of copy ("memcpy host to device", "memset").
struct KernelCounters {
  std::string name;
  std::uint64_t launches = 0, blocks = 0, threads = 0;
  double flops = 0;  // of cuBLAS only
  /// Bytes of device memory that each launch read and wrote at least once: the traffic with perfect caches.
  /// Known for copies and cuBLAS always, for kernels in the chk flavour.
  std::uint64_t bytes_read = 0, bytes_written = 0;
  /// Bytes that its load and store instructions asked for (chk).
  std::uint64_t requested_read = 0, requested_written = 0;
};

/// The accesses of one line of the source to one kind of memory, in one block of every launch (the middle
/// one). The accesses of a warp's lanes by an instruction in the same round of a loop are a request. Programs
/// that do not link cuda_emulation_lines do not tell rounds, and the n-th access of each lane counts for the
/// n-th round. Vectors are read as one access. chk only, where CUDA_EMULATION_LINES=1 or count_lines(true)
/// asks for it.
struct LineCounters {
  std::string kernel, line;
  bool shared = false, write = false;
  std::uint64_t requests = 0;
  /// Device memory: 32-byte sectors touched, and how few could hold the same bytes.
  std::uint64_t sectors = 0, ideal_sectors = 0;
  /// Shared memory: passes over the 32 banks, and how few the width of the access needs. `ways`: the most
  /// passes that took the place of one, the degree of the worst bank conflict.
  std::uint64_t passes = 0, ideal_passes = 0, ways = 0;
};

/// Kernels in the order of their first launch.
std::vector<KernelCounters> kernel_counters();
/// Copies between the device and host memory that is not page-locked, which wait for the stream.
std::uint64_t pageable_copies();
/// Lines by kernel and line.
std::vector<LineCounters> line_counters();
void reset_counters();
void count_lines(bool on);

}  // namespace cuda_emulation
