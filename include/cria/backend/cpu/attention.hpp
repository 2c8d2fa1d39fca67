#pragma once
/// Attention on the CPU, tile by tile. A tile is 32 queries in forward and 32 keys in backward; they lie in
/// the lanes of registers, so that the softmax needs no sums across a register. The query heads that share a
/// key/value head are neighbours in memory, and are read and written together. A single position, which would
/// leave the tiles empty, goes by rows.

#include <algorithm>
#include <cstdint>

#include "cria/backend/cpu/attention_backward.hpp"
#include "cria/backend/cpu/attention_forward.hpp"
#include "cria/backend/cpu/attention_single.hpp"
#include "cria/backend/cpu/parallel.hpp"
#include "cria/core/operations.hpp"

namespace cria {

template <>
struct kernel<ops::Attention, Cpu> {
  template <class T, class A>
  static void forward(Heads<const T> q, Heads<const T> k, Heads<const T> v, Heads<T> y, Vec<A> log_sum) {
    cpu::parallel_for(k.batch * k.heads, 1, [=](std::int64_t begin, std::int64_t end) {
      if (q.length == 1) {
        for (std::int64_t task = begin; task < end;) {
          const std::int64_t first = task % k.heads, count = std::min(k.heads - first, end - task);
          cpu::attention::attend_single(q, k, v, y, log_sum, task / k.heads, {first, count});
          task += count;
        }
        return;
      }
      cpu::attention::Forward<T> forward{q, k, v, y, log_sum};
      for (std::int64_t task = begin; task < end; ++task) forward.run(task / k.heads, task % k.heads);
    });
  }

  template <class T, class A>
  static void backward(Heads<const T> dy, Heads<const T> q, Heads<const T> k, Heads<const T> v,
                       Heads<const T> y, Vec<const A> log_sum, Gradient<Heads<T>> dq, Gradient<Heads<T>> dk,
                       Gradient<Heads<T>> dv) {
    cpu::parallel_for(k.batch * k.heads, 1, [=](std::int64_t begin, std::int64_t end) {
      cpu::attention::Backward<T> backward{dy, q, k, v, y, log_sum, dq, dk, dv};
      for (std::int64_t task = begin; task < end; ++task) backward.run(task / k.heads, task % k.heads);
    });
  }
};

}  // namespace cria
