#pragma once

#include <map>
#include <mutex>
#include <utility>

#include "cria/backend/cuda/map.cuh"
#include "cria/ops/rope.hpp"

namespace cria {

namespace cuda {

/// cos and sin of the host's table in device memory, [positions, dim / 2] each.
template <class A>
class DeviceRotationTable {
 public:
  struct View {
    const A* cosine;
    const A* sine;
  };

  /// The table for `positions` positions or more, kept for the next call. It is never freed, since work that
  /// reads it may be on its way.
  static View covering(std::int64_t positions, std::int64_t dim, float theta) {
    static auto* tables = new std::map<std::pair<std::int64_t, float>, DeviceRotationTable>;
    static auto* mutex = new std::mutex;
    const std::lock_guard lock(*mutex);
    DeviceRotationTable& table = (*tables)[{dim, theta}];
    if (table.positions_ < positions) table.grow(std::max(positions, 2 * table.positions_), dim, theta);
    return table.view_;
  }

 private:
  void grow(std::int64_t positions, std::int64_t dim, float theta) {
    host_.cover(positions, dim, theta);
    view_ = {to_device(host_.cosine), to_device(host_.sine)};
    positions_ = positions;
  }
  static const A* to_device(const std::vector<A>& values) {
    const std::size_t bytes = values.size() * sizeof(A);
    void* memory = Cuda::allocate(bytes);
    Cuda::copy_from_host(memory, values.data(), bytes);
    return static_cast<const A*>(memory);
  }

  cria::detail::RotationTable<A> host_;
  View view_{};
  std::int64_t positions_ = 0;
};

/// y [rows, heads, dim] = x, each pair (d, d + half) rotated, or += that. A thread has Size neighbouring
/// pairs.
template <int Size, class T, class A>
__global__ void __launch_bounds__(block_size)
    rope_kernel(Heads<const T> x, std::int64_t start, typename DeviceRotationTable<A>::View table,
                A direction, Gradient<Heads<T>> y) {
  const std::int64_t half = x.dim / 2, packs = half / Size;
  const std::int64_t items = x.batch * x.length * x.heads * packs;
  for (std::int64_t item = first_item(); item < items; item += item_stride()) {
    const std::int64_t d = item % packs * Size, head = item / packs;  // head: of all sequences and positions
    const std::int64_t position = start + head / x.heads % x.length, at = head * x.dim + d;
    const auto a = load<Size>(x.data + at), b = load<Size>(x.data + at + half);
    const A* cosine = table.cosine + position * half + d;
    const A* sine = table.sine + position * half + d;
    Pack<T, Size> first, second;
    if (!y.fresh) {
      first = load<Size>(y.data + at);
      second = load<Size>(y.data + at + half);
    }
#pragma unroll
    for (int k = 0; k < Size; ++k) {
      const A c = cosine[k], s = sine[k] * direction, left = wide(a.at[k]), right = wide(b.at[k]);
      const A low = left * c - right * s, high = right * c + left * s;
      first.at[k] = summed(first.at[k], y.fresh, low);
      second.at[k] = summed(second.at[k], y.fresh, high);
    }
    store(y.data + at, first);
    store(y.data + at + half, second);
  }
}

}  // namespace cuda

template <>
struct kernel<ops::Rope, Cuda> {
  template <class T>
  static void forward(Heads<const T> x, std::int64_t start, float theta, Heads<T> y) {
    rotate(x, start, theta, acc_t<T>(1), Gradient<Heads<T>>{y, true});
  }

  template <class T>
  static void backward(Heads<const T> dy, std::int64_t start, float theta, Gradient<Heads<T>> dx) {
    if (dx) rotate(dy, start, theta, acc_t<T>(-1), dx);
  }

 private:
  /// y += x, rotated forwards (direction 1) or backwards (-1).
  template <class T, class A>
  static void rotate(Heads<const T> x, std::int64_t start, float theta, A direction, Gradient<Heads<T>> y) {
    const std::int64_t half = x.dim / 2, pairs = x.batch * x.length * x.heads * half;
    const auto table = cuda::DeviceRotationTable<A>::covering(start + x.length, x.dim, theta);
    const auto run = [&]<int Size>(std::integral_constant<int, Size>) {
      cuda::launch(cuda::rope_kernel<Size, T, A>, cuda::grid_for(pairs / Size), cuda::block_size, 0, x, start,
                   table, direction, y);
    };
    constexpr int width = cuda::widest<T>;
    if (half % width == 0 && cuda::packs_fit<width>(x.data, y.data)) {
      run(std::integral_constant<int, width>());
    } else if (half % 2 == 0 && cuda::packs_fit<2>(x.data, y.data)) {
      run(std::integral_constant<int, 2>());
    } else {
      run(std::integral_constant<int, 1>());
    }
  }
};

}  // namespace cria
