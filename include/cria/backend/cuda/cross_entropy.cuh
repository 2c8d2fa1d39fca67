#pragma once

#include <algorithm>
#include <cmath>

#include "cria/backend/cuda/blas.hpp"
#include "cria/backend/cuda/indices.cuh"
#include "cria/backend/cuda/map.cuh"
#include "cria/backend/cuda/softmax.cuh"
#include "cria/core/math.hpp"
#include "cria/core/operations.hpp"

namespace cria {

namespace cuda {

/// How many logits linear_cross_entropy holds at once, about (64 MiB of floats), but at least so many rows of
/// them: with fewer, the gradient of the weights, which each adds to, takes longer to read and write than to
/// compute.
CRIA_SHARED inline std::int64_t logits_at_once = std::int64_t{1} << 24, fewest_logit_rows = 1024;

/// The rows of logits, out of `rows`, that it holds at once.
inline std::int64_t logit_rows(std::int64_t rows, std::int64_t vocabulary) {
  return std::min(rows, std::max(fewest_logit_rows, logits_at_once / vocabulary / 128 * 128));
}

/// log_sum[row] = log(sum(exp(logits[row]))); losses[row] = log_sum - logits[target], 0 for a row that does
/// not count. A block for each row.
template <int Size, class T, class A>
__global__ void __launch_bounds__(block_size, shared_by_blocks<T>)
    cross_entropy_kernel(Rows<const T> logits, const std::int32_t* targets, std::int32_t ignore, A* log_sum,
                         A* losses) {
  const std::int64_t i = blockIdx.x;
  const T* row = logits.row(i);
  const SoftmaxSum<A> all = softmax_sum<Size, A>(row, logits.cols);
  if (threadIdx.x > 0) return;
  const std::int32_t target = targets[i];
  const bool counts = target != ignore && target >= 0 && target < logits.cols;
  log_sum[i] = all.maximum + std::log(all.sum);
  losses[i] = counts ? log_sum[i] - static_cast<A>(wide(row[target])) : A(0);
}

/// loss[0] = sum(losses) / count, and where it is asked for inverse[0] = 1 / count; 0 if nothing counts. One
/// block.
template <class A>
__global__ void __launch_bounds__(1024)
    mean_loss_kernel(Vec<const A> losses, const std::int64_t* count, A* loss, A* inverse) {
  LongSum<A> own;
  for (std::int64_t i = threadIdx.x; i < losses.size; i += blockDim.x) own += losses[i];
  const A sum = block_sum(own.value());
  if (threadIdx.x > 0) return;
  *loss = *count > 0 ? sum / static_cast<A>(*count) : A(0);
  if (inverse) *inverse = *count > 0 ? A(1) / static_cast<A>(*count) : A(0);
}

/// dlogits += dloss / count * (softmax(logits) - one_hot(target)) for the rows that count.
template <int Size, class T, class A>
__global__ void __launch_bounds__(block_size, shared_by_blocks<T>)
    cross_entropy_backward_kernel(const A* dloss, const std::int64_t* count, Rows<const T> logits,
                                  const std::int32_t* targets, std::int32_t ignore, const A* log_sum,
                                  Gradient<Rows<T>> dlogits) {
  const std::int64_t i = blockIdx.x;
  const std::int32_t target = targets[i];
  const A scale = target == ignore || *count == 0 ? A(0) : *dloss / static_cast<A>(*count);
  for (std::int64_t j = Size * static_cast<std::int64_t>(threadIdx.x); j < logits.cols;
       j += Size * blockDim.x) {
    const auto x = load<Size>(logits.row(i) + j);
    Pack<T, Size> to;
    if (!dlogits.fresh) to = load<Size>(dlogits.row(i) + j);
#pragma unroll
    for (int k = 0; k < Size; ++k) {
      A value = scale * math::exp_up_to_88(static_cast<A>(wide(x.at[k])) - log_sum[i]);
      if (j + k == target) value -= scale;
      to.at[k] = summed(to.at[k], dlogits.fresh, value);
    }
    store(dlogits.row(i) + j, to);
  }
}

/// losses as in cross_entropy_kernel; dlogits = softmax(logits) - one_hot(target), 0 for rows that do not
/// count. dlogits may be the memory of the logits.
template <int Size, class T, class A>
__global__ void __launch_bounds__(block_size, shared_by_blocks<T>)
    softmax_gradient_kernel(Rows<const A> logits, const std::int32_t* targets, std::int32_t ignore, A* losses,
                            Rows<T> dlogits) {
  const std::int64_t i = blockIdx.x;
  const A* row = logits.row(i);
  const std::int32_t target = targets[i];
  const bool counts = target != ignore && target >= 0 && target < logits.cols;
  const SoftmaxSum<A> all = softmax_sum<Size, A>(row, logits.cols);
  if (threadIdx.x == 0) losses[i] = counts ? all.maximum + std::log(all.sum) - row[target] : A(0);
  if (!dlogits) return;
  __syncthreads();  // the target's logit has been read
  const A inverse = counts ? A(1) / all.sum : A(0);
  for (std::int64_t j = Size * static_cast<std::int64_t>(threadIdx.x); j < logits.cols;
       j += Size * blockDim.x) {
    const auto x = load<Size>(row + j);
    Pack<T, Size> to;
#pragma unroll
    for (int k = 0; k < Size; ++k) {
      A value = math::exp_up_to_88(x.at[k] - all.maximum) * inverse;
      if (counts && j + k == target) value -= A(1);
      to.at[k] = static_cast<T>(value);
    }
    store(dlogits.row(i) + j, to);
  }
}

}  // namespace cuda

template <>
struct kernel<ops::CrossEntropy, Cuda> {
  template <class T, class A>
  static void forward(Rows<const T> logits, Vec<const std::int32_t> targets, std::int32_t ignore, Vec<A> loss,
                      Vec<A> log_sum) {
    const cuda::Scratch<std::int64_t> count(1);
    const cuda::Scratch<A> losses(logits.rows);
    cuda::count_targets(cuda::IndexError::cross_entropy_target, targets, logits.cols, ignore, count.data());
    constexpr int width = cuda::widest<T>;
    const bool packs = logits.cols % width == 0 && cuda::packs_fit<width>(logits.data);
    cuda::launch(packs ? cuda::cross_entropy_kernel<width, T, A> : cuda::cross_entropy_kernel<1, T, A>,
                 logits.rows, cuda::block_size, 0, logits, targets.data, ignore, log_sum.data, losses.data());
    cuda::launch(cuda::mean_loss_kernel<A>, 1, 1024, 0, losses.vec(), count.data(), loss.data, nullptr);
  }

  template <class T, class A>
  static void backward(Vec<const A> dloss, Rows<const T> logits, Vec<const std::int32_t> targets,
                       std::int32_t ignore, Vec<const A> log_sum, Gradient<Rows<T>> dlogits) {
    if (!dlogits) return;
    const cuda::Scratch<std::int64_t> count(1);
    cuda::count_targets(cuda::IndexError::cross_entropy_target, targets, logits.cols, ignore, count.data());
    constexpr int width = cuda::widest<T>;
    const bool packs = logits.cols % width == 0 && cuda::packs_fit<width>(logits.data, dlogits.data);
    cuda::launch(packs ? cuda::cross_entropy_backward_kernel<width, T, A>
                       : cuda::cross_entropy_backward_kernel<1, T, A>,
                 logits.rows, cuda::block_size, 0, dloss.data, count.data(), logits, targets.data, ignore,
                 log_sum.data, dlogits);
  }
};

template <>
struct kernel<ops::LinearCrossEntropy, Cuda> {
  template <class T, class A>
  static void forward(Rows<const T> x, Rows<const T> weight, Vec<const std::int32_t> targets,
                      std::int32_t ignore, Vec<A> loss, Rows<A> dx, Rows<A> dweight) {
    const std::int64_t vocabulary = weight.rows;
    const std::int64_t chunk_rows = cuda::logit_rows(x.rows, vocabulary);
    const bool with_gradient = dx || dweight;
    const cuda::Scratch<std::int64_t> count(1);
    const cuda::Scratch<A> logits_memory(chunk_rows * vocabulary), losses(x.rows), inverse(1);
    // Gradients of the logits are rounded to T, as if they were a tensor of the graph, but not yet divided by
    // the count: in float16 most of them would vanish. Where T is A they take the place of the logits.
    constexpr bool in_place = std::is_same_v<T, A>;
    const cuda::Scratch<T> dlogits_memory(with_gradient && !in_place ? chunk_rows * vocabulary : 0);
    cuda::count_targets(cuda::IndexError::linear_cross_entropy_target, targets, vocabulary, ignore,
                        count.data());
    if (dweight && x.rows == 0) {
      Cuda::fill_zero(dweight.data, sizeof(A) * static_cast<std::size_t>(dweight.rows * dweight.cols));
    }
    constexpr int width = cuda::widest<A>;
    for (std::int64_t first = 0; first < x.rows; first += chunk_rows) {
      const std::int64_t rows = std::min(chunk_rows, x.rows - first);
      const Rows<A> logits{logits_memory.data(), rows, vocabulary};
      Rows<T> dlogits;
      if (with_gradient) {
        dlogits = {dlogits_memory.data(), rows, vocabulary};
        if constexpr (in_place) dlogits.data = logits.data;
      }
      cuda::gemm(plain(x.slice(first, rows)), transposed(weight), false, logits);
      const bool packs = vocabulary % width == 0 && cuda::packs_fit<width>(logits.data, dlogits.data);
      cuda::launch(
          packs ? cuda::softmax_gradient_kernel<width, T, A> : cuda::softmax_gradient_kernel<1, T, A>, rows,
          cuda::block_size, 0, logits, targets.data + first, ignore, losses.data() + first, dlogits);
      const Rows<const T> gradient = dlogits;
      if (dx) cuda::gemm(plain(gradient), plain(weight), false, dx.slice(first, rows));
      if (dweight) cuda::gemm_over_rows(gradient, x.slice(first, rows), first > 0, dweight);
    }
    cuda::launch(cuda::mean_loss_kernel<A>, 1, 1024, 0, losses.vec(), count.data(), loss.data,
                 inverse.data());
    for (const Rows<A>& gradient : {dx, dweight}) {
      if (!gradient) continue;
      const Vec<A> all{gradient.data, gradient.rows * gradient.cols};
      cuda::map(all, cuda::Scaled<A>{inverse.data()}, Vec<const A>(all));
    }
  }

  template <class A, class T>
  static void backward(Vec<const A> dloss, Vec<const A> saved, Gradient<Vec<T>> gradient) {
    cuda::map_add(gradient, cuda::Scaled<A>{dloss.data}, saved);
  }
};

}  // namespace cria
