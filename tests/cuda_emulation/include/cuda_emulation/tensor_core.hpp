#pragma once
/// The instructions that attention is made of: mma.sync, ldmatrix and cp.async, with the layouts that the
/// manual of the PTX ISA gives. Of a warp's lane, `group` is lane / 4 and `place` is lane % 4.

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "cuda_emulation/builtins.hpp"
#include "cuda_emulation/rendezvous.hpp"

namespace cuda_emulation {

/// Makes a float of 16 bits.
using Decode = float (*)(std::uint16_t bits);

namespace detail {

/// d [16, 8] += a [16, K] b [K, 8], whose elements place(lane, message, a, b) puts where they belong. A lane has
/// d's row `group`, columns 2 place and 2 place + 1 in `top`, the same of row group + 8 in `bottom`.
template <int K, class Message, class Place>
void multiply_16x8(void* const messages[32], Place place_operands) {
  const auto of = [&](int lane) -> const Message& { return *static_cast<const Message*>(messages[lane]); };
  float left[16][K], right[K][8];
  for (int lane = 0; lane < 32; ++lane) place_operands(lane / 4, lane % 4, of(lane), left, right);
  float sum[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    std::memcpy(&sum[lane / 4][2 * (lane % 4)], of(lane).top, 2 * sizeof(float));
    std::memcpy(&sum[lane / 4 + 8][2 * (lane % 4)], of(lane).bottom, 2 * sizeof(float));
  }
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < K; ++k) {
      for (int column = 0; column < 8; ++column) sum[row][column] += left[row][k] * right[k][column];
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    std::memcpy(of(lane).top, &sum[lane / 4][2 * (lane % 4)], 2 * sizeof(float));
    std::memcpy(of(lane).bottom, &sum[lane / 4 + 8][2 * (lane % 4)], 2 * sizeof(float));
  }
}

}  // namespace detail

/// mma.sync.m16n8k16: d [16, 8] += a [16, 16] b [16, 8]. A register of a or b holds two elements, the first
/// in its low half. top: d's row `group`, columns 2 place and 2 place + 1; bottom: the same of row group + 8.
/// a: rows group, group + 8, group, group + 8 at columns 2 place + {0, 1}, the last two 8 columns further.
/// b: column `group` at rows 2 place + {0, 1}, and 8 rows further.
inline void multiply_16x8x16(float (&top)[2], float (&bottom)[2], const std::uint32_t (&a)[4],
                             const std::uint32_t (&b)[2], Decode decode, Site site = Site::current()) {
  struct Message {
    float *top, *bottom;
    const std::uint32_t *a, *b;
    Decode decode;
  } message{top, bottom, a, b, decode};
  const auto combine = [](void* const messages[32], unsigned) {
    detail::multiply_16x8<16, Message>(
        messages, [](int group, int place, const Message& from, auto& left, auto& right) {
          for (int half = 0; half < 2; ++half) {
            const auto element = [&](std::uint32_t word) {
              return from.decode(static_cast<std::uint16_t>(word >> (16 * half)));
            };
            for (int i = 0; i < 4; ++i) {
              left[group + 8 * (i % 2)][2 * place + half + 8 * (i / 2)] = element(from.a[i]);
            }
            for (int i = 0; i < 2; ++i) right[2 * place + half + 8 * i][group] = element(from.b[i]);
          }
        });
  };
  warp_rendezvous(WarpOperation::matrix, 0xFFFFFFFFu, &message, combine, site);
}

/// mma.sync.m16n8k8 of TF32: d [16, 8] += a [16, 8] b [8, 8]. d as above. a: rows group, group + 8, group,
/// group + 8 at column `place`, the last two 4 columns further. b: column `group` at row `place`, and 4 rows
/// further. The lowest 13 bits of an element are not read.
inline void multiply_16x8x8(float (&top)[2], float (&bottom)[2], const std::uint32_t (&a)[4],
                            const std::uint32_t (&b)[2], Site site = Site::current()) {
  struct Message {
    float *top, *bottom;
    const std::uint32_t *a, *b;
  } message{top, bottom, a, b};
  const auto combine = [](void* const messages[32], unsigned) {
    detail::multiply_16x8<8, Message>(
        messages, [](int group, int place, const Message& from, auto& left, auto& right) {
          const auto element = [](std::uint32_t word) { return std::bit_cast<float>(word & ~0x1FFFu); };
          for (int i = 0; i < 4; ++i) left[group + 8 * (i % 2)][place + 4 * (i / 2)] = element(from.a[i]);
          for (int i = 0; i < 2; ++i) right[place + 4 * i][group] = element(from.b[i]);
        });
  };
  warp_rendezvous(WarpOperation::matrix, 0xFFFFFFFFu, &message, combine, site);
}

namespace detail {

/// Moved by one access, as by a device.
using TwoWords = unsigned __attribute__((vector_size(8)));
using FourWords = unsigned __attribute__((vector_size(16)));

/// The four 8 x 8 matrices that ldmatrix.x4 loads: lane 8 i + r names row r of matrix i, and reads it.
struct MatrixRows {
  using Row = std::array<std::uint16_t, 8>;
  std::array<Row, 32> rows;

  [[gnu::always_inline]] MatrixRows(const void* row, Site site) {
    if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0) {
      kernel_error("ldmatrix: the address of a row is not a multiple of 16", site);
    }
    struct Message {
      Row row;
      std::array<Row, 32>* rows;
    } message{std::bit_cast<Row>(*static_cast<const FourWords*>(row)), &rows};
    const auto combine = [](void* const messages[32], unsigned) {
      std::array<Row, 32> all;
      for (std::size_t lane = 0; lane < 32; ++lane) all[lane] = static_cast<Message*>(messages[lane])->row;
      for (int lane = 0; lane < 32; ++lane) *static_cast<Message*>(messages[lane])->rows = all;
    };
    warp_rendezvous(WarpOperation::matrix, 0xFFFFFFFFu, &message, combine, site);
  }

  std::uint32_t element(std::uint32_t matrix, std::uint32_t row, std::uint32_t column) const {
    return rows[8 * matrix + row][column];
  }
};

}  // namespace detail

/// ldmatrix.x4: of each matrix, the lane gets row `group`, columns 2 place and 2 place + 1.
[[gnu::always_inline]] inline void load_4_matrices(std::uint32_t (&to)[4], const void* row,
                                                   Site site = Site::current()) {
  const detail::MatrixRows from(row, site);
  const unsigned group = lane_id() / 4, place = lane_id() % 4;
  for (unsigned i = 0; i < 4; ++i) {
    to[i] = from.element(i, group, 2 * place) | from.element(i, group, 2 * place + 1) << 16;
  }
}

/// ldmatrix.x4.trans: of each matrix, the lane gets column `group`, rows 2 place and 2 place + 1.
[[gnu::always_inline]] inline void load_4_matrices_transposed(std::uint32_t (&to)[4], const void* row,
                                                              Site site = Site::current()) {
  const detail::MatrixRows from(row, site);
  const unsigned group = lane_id() / 4, place = lane_id() % 4;
  for (unsigned i = 0; i < 4; ++i) {
    to[i] = from.element(i, 2 * place, group) | from.element(i, 2 * place + 1, group) << 16;
  }
}

/// A copy that cp.async has begun.
struct PendingCopy {
  void* to;
  const void* from;
  int bytes;
};
void begin_copy(const PendingCopy& copy);
/// One of the calling thread's; false if there is none.
bool take_pending_copy(PendingCopy& copy);

namespace detail {

/// The source of copies that have none, and what lies in a destination until a copy arrives: NaN.
alignas(16) inline constexpr unsigned no_words[4] = {}, unknown_words[4] = {~0u, ~0u, ~0u, ~0u};

template <class Word>
[[gnu::always_inline]] inline void move(void* to, const void* from) {
  *static_cast<Word*>(to) = *static_cast<const Word*>(from);
}
[[gnu::always_inline]] inline void move(const PendingCopy& copy) {
  if (copy.bytes == 4) move<unsigned>(copy.to, copy.from);
  if (copy.bytes == 8) move<TwoWords>(copy.to, copy.from);
  if (copy.bytes == 16) move<FourWords>(copy.to, copy.from);
}

}  // namespace detail

/// cp.async: begins to copy 4, 8 or 16 bytes to shared memory, or zeros unless `valid`. On a device the bytes
/// may arrive at any moment until they are waited for. Here they arrive when they are waited for and are NaN
/// until then, so that neither a forgotten wait nor a destination that is still in use passes unnoticed.
[[gnu::always_inline]] inline void copy_async(void* to, const void* from, int bytes, bool valid,
                                              Site site = Site::current()) {
  const auto misaligned = [&](const void* address) {
    return reinterpret_cast<std::uintptr_t>(address) % static_cast<std::uintptr_t>(bytes) != 0;
  };
  if (misaligned(to) || (valid && misaligned(from))) {
    kernel_error("cp.async: an address is not a multiple of the size", site);
  }
  begin_copy({to, valid ? from : detail::no_words, bytes});
  detail::move({to, detail::unknown_words, bytes});
}

/// cp.async.wait_all: returns when all copies that the calling thread has begun are done.
[[gnu::always_inline]] inline void wait_for_copies() {
  PendingCopy copy;
  while (take_pending_copy(copy)) detail::move(copy);
}

}  // namespace cuda_emulation
