#pragma once

#include <algorithm>
#include <cmath>
#include <mutex>
#include <vector>

#include "cria/backend/cuda/map.cuh"
#include "cria/core/division.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/rotation_table.hpp"

namespace cria {

namespace cuda {

/// cos and sin of the host's table in device memory, [positions, dim / 2] each.
template <class A>
struct RotationTableView {
  const A* cosine = nullptr;
  const A* sine = nullptr;
};

/// A table that begins at position 0.
template <class A>
class CRIA_SHARED DeviceRotationTable {
 public:
  using View = RotationTableView<A>;

  /// The table for `positions` positions or more, kept for the next call. It is never freed, since work that
  /// reads it may be on its way.
  static View covering(std::int64_t positions, std::int64_t dim, const RotaryFrequencies& frequencies) {
    static auto* tables = new cria::detail::RotationTables<DeviceRotationTable>;
    static auto* mutex = new std::mutex;
    const std::lock_guard lock(*mutex);
    DeviceRotationTable& table = (*tables)[{dim, frequencies}];
    if (table.positions_ < positions) table.grow(std::max(positions, 2 * table.positions_), dim, frequencies);
    return table.view_;
  }

 private:
  void grow(std::int64_t positions, std::int64_t dim, const RotaryFrequencies& frequencies) {
    host_.cover(positions, dim, frequencies);
    view_ = {to_device(host_.cosine), to_device(host_.sine)};
    check("cudaStreamSynchronize", cudaStreamSynchronize(stream()));  // other streams will read them
    positions_ = positions;
  }
  static const A* to_device(const std::vector<A>& values) {
    const std::size_t bytes = values.size() * sizeof(A);
    void* memory = Cuda::allocate(bytes);
    Cuda::copy_from_host(memory, values.data(), bytes);
    return static_cast<const A*>(memory);
  }

  cria::detail::RotationTable<A> host_;
  View view_;
  std::int64_t positions_ = 0;
};

/// A table of the positions from `start` on, for kernels that are launched while it lives.
template <class A>
class PassingRotationTable {
 public:
  PassingRotationTable(std::int64_t start, std::int64_t length, std::int64_t dim,
                       const RotaryFrequencies& frequencies)
      : cosine_(length * (dim / 2)), sine_(length * (dim / 2)) {
    cria::detail::RotationTable<A> host{.first = start};
    host.cover(start + length, dim, frequencies);
    Cuda::copy_from_host(cosine_.data(), host.cosine.data(), host.cosine.size() * sizeof(A));
    Cuda::copy_from_host(sine_.data(), host.sine.data(), host.sine.size() * sizeof(A));
  }

  RotationTableView<A> view() const { return {cosine_.data(), sine_.data()}; }

 private:
  Scratch<A> cosine_, sine_;
};

/// A tensor [batch, length, heads, dim] and where it goes when it is rotated; none if `to` is empty.
template <class T>
struct Rotation {
  Heads<const T> from;
  Gradient<Heads<T>> to;

  CRIA_HOST_DEVICE std::int64_t heads() const { return to ? from.heads : 0; }
  std::int64_t rows() const { return to ? from.batch * from.length : 0; }
  std::int64_t pairs() const { return rows() * heads() * (from.dim / 2); }
};

/// Each pair (d, d + half) of a and of b rotated, as the table says from `start` on. A thread has Size
/// neighbouring pairs of a head, in some of all positions, so that it seldom divides.
template <int Size, class T, class A>
__global__ void __launch_bounds__(block_size)
    rope_kernel(Rotation<T> of_a, Rotation<T> of_b, std::int64_t start, RotationTableView<A> table,
                A direction) {
  const std::int64_t half = (of_a.to ? of_a : of_b).from.dim / 2, packs = half / Size;
  const std::int64_t heads_of_a = of_a.heads(), heads = heads_of_a + of_b.heads();
  for (std::int64_t item = threadIdx.x; item < heads * packs; item += blockDim.x) {
    const auto [head, pack] = divided(item, packs);
    const bool second = head >= heads_of_a;
    const Heads<const T> x = second ? of_b.from : of_a.from;
    const Gradient<Heads<T>> y = second ? of_b.to : of_a.to;
    const std::int64_t h = second ? head - heads_of_a : head, d = pack * Size;
    for (std::int64_t row = blockIdx.x; row < x.batch * x.length; row += gridDim.x) {
      const auto [b, t] = divided(row, x.length);
      const T* from = x.at(b, t, h) + d;
      T* to = y.at(b, t, h) + d;
      const auto low = load<Size>(from), high = load<Size>(from + half);
      const auto cosine = load<Size>(table.cosine + (start + t) * half + d);
      const auto sine = load<Size>(table.sine + (start + t) * half + d);
      Pack<T, Size> new_low, new_high;
      if (!y.fresh) {
        new_low = load<Size>(to);
        new_high = load<Size>(to + half);
      }
#pragma unroll
      for (int k = 0; k < Size; ++k) {
        const A c = cosine.at[k], s = sine.at[k] * direction, left = wide(low.at[k]),
                right = wide(high.at[k]);
        // Fused as written here, or results would depend on what the compiler fuses for packs of this size.
        new_low.at[k] = summed(new_low.at[k], y.fresh, std::fma(left, c, -(right * s)));
        new_high.at[k] = summed(new_high.at[k], y.fresh, std::fma(right, c, left * s));
      }
      store(to, new_low);
      store(to + half, new_high);
    }
  }
}

}  // namespace cuda

template <>
struct kernel<ops::Rope, Cuda> {
  template <class T>
  static void forward(Heads<const T> a, Heads<const T> b, std::int64_t start,
                      const RotaryFrequencies& frequencies, Heads<T> rotated_a, Heads<T> rotated_b) {
    rotate<T>({a, {rotated_a, true}}, {b, {rotated_b, true}}, start, frequencies, acc_t<T>(1));
  }

  template <class T>
  static void backward(Heads<const T> d_rotated_a, Heads<const T> d_rotated_b, std::int64_t start,
                       const RotaryFrequencies& frequencies, Gradient<Heads<T>> da, Gradient<Heads<T>> db) {
    rotate<T>({d_rotated_a, da}, {d_rotated_b, db}, start, frequencies, acc_t<T>(-1));
  }

 private:
  /// Whether all of x's heads begin where packs of Size elements can be moved; half a head is whole packs.
  template <int Size, class T>
  static bool packs_fit(const Heads<T>& x) {
    return cuda::packs_fit<Size>(x.data) && x.row_stride % Size == 0 && x.batch_stride % Size == 0;
  }

  /// Forwards (direction 1) or backwards (-1); nothing if nothing is wanted.
  template <class T, class A>
  static void rotate(cuda::Rotation<T> a, cuda::Rotation<T> b, std::int64_t start,
                     const RotaryFrequencies& frequencies, A direction) {
    if (a.pairs() + b.pairs() == 0) return;
    if (a.to && a.to.data == b.to.data) {  // one kernel would add to both at once
      rotate<T>(a, {}, start, frequencies, direction);
      rotate<T>({}, b, start, frequencies, direction);
      return;
    }
    const Heads<const T> x = a.to ? a.from : b.from;
    if (start > detail::most_kept_positions) {
      const cuda::PassingRotationTable<A> table(start, x.length, x.dim, frequencies);
      launch<T>(a, b, 0, table.view(), direction);
    } else {
      launch<T>(a, b, start, cuda::DeviceRotationTable<A>::covering(start + x.length, x.dim, frequencies),
                direction);
    }
  }

  /// `start` counts from the table's first position.
  template <class T, class A>
  static void launch(cuda::Rotation<T> a, cuda::Rotation<T> b, std::int64_t start,
                     cuda::RotationTableView<A> table, A direction) {
    const std::int64_t half = (a.to ? a.from : b.from).dim / 2, rows = std::max(a.rows(), b.rows());
    const auto run = [&]<int Size>(std::integral_constant<int, Size>) {
      const std::int64_t items = (a.heads() + b.heads()) * (half / Size);
      const auto threads = std::min<std::int64_t>((items + 31) / 32 * 32, cuda::block_size);
      const auto blocks = std::min<std::int64_t>(rows, std::int64_t{16} * cuda::device().multiprocessors);
      cuda::launch(cuda::rope_kernel<Size, T, A>, blocks, static_cast<unsigned>(threads), 0, a, b, start,
                   table, direction);
    };
    const auto fit = [&]<int Size>(std::integral_constant<int, Size>) {
      return half % Size == 0 && packs_fit<Size>(a.from) && packs_fit<Size, T>(a.to) &&
             packs_fit<Size>(b.from) && packs_fit<Size, T>(b.to);
    };
    constexpr int width = cuda::widest<T>;
    if (fit(std::integral_constant<int, width>())) {
      run(std::integral_constant<int, width>());
    } else if (fit(std::integral_constant<int, 2>())) {
      run(std::integral_constant<int, 2>());
    } else {
      run(std::integral_constant<int, 1>());
    }
  }
};

}  // namespace cria
