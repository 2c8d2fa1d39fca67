#pragma once
/// The contract of a backend: every operation that it computes, with the signature of its kernel, and the
/// rules that hold for all of them. A backend also has memory (Storage in core/storage.hpp says which
/// functions).
///
/// kernel<Op, Backend> computes Op on Backend, forward and backward, with static functions.
///
/// - Kernels get views (core/view.hpp), never tensors, and trust them: the operation (ops/) has checked the
///   shapes.
/// - forward overwrites its outputs.
/// - backward ADDS to the gradients it is given, or overwrites those that are fresh, every element of them.
///   An empty view means "not wanted, skip". Accumulated gradients and shared weights then need no code of
///   their own.
/// - Two gradients are the same memory where an operation got the same tensor twice. They come in the order
///   of the inputs and only the first is fresh, so a kernel writes an element of the first before it adds to
///   that of the second.
/// - Sums and intermediate results are kept in acc_t<T>; gradients of parameters are views of acc_t<T>.
/// - Heads have strides; those of different arguments need not be the same. Two gradients of Heads are the
///   same memory or have none in common.
/// - Results do not depend on timing: no unordered floating-point atomics.
///
/// Below, T is a tensor's type, A is acc_t<T>, F a formula of core/formulas.hpp. Arguments are in this order:
/// gradients of outputs, inputs, numbers, what forward saved; outputs come last.

#include "cria/core/view.hpp"

namespace cria {

template <class Op, class Backend>
struct kernel;

namespace detail {
template <class Op, class Backend>
concept HasKernel = requires {
  sizeof(kernel<Op, Backend>);
};

template <class Op, class Backend>
struct find_kernel {
  static_assert(
      HasKernel<Op, Backend>,
      "this operation has no kernel for this backend: add include/cria/backend/<backend>/<operation>");
  using type = kernel<Op, Backend>;
};
}  // namespace detail

/// The kernel of Op on Backend; a sentence from the compiler if there is none.
template <class Op, class Backend>
using kernel_for = typename detail::find_kernel<Op, Backend>::type;

namespace ops {

// ---- each element alone ----

/// y = f(x...), the inputs being broadcast to y. X is T, an integer or bool, and only T has a gradient; Y is
/// T or what a comparison gives.
///   forward(F, const Broadcast&, Vec<Y> y, Vec<const X>... x)
///   backward(F, const Broadcast&, Vec<const T> dy, const std::tuple<Vec<const X>...>& x,
///            const std::tuple<Gradient<Vec<X>>...>& dx)
struct Map;

/// y = x in another type. Its backward is Accumulate.
///   forward(Vec<const From> x, Vec<To> y)
struct Cast;

/// Word i % 4 of noise.rng().block(i / 4) decides whether element i is dropped; the mask is drawn again
/// instead of stored.
///   forward(Vec<const T> x, float probability, const Noise& noise, Vec<T> y)
///   backward(Vec<const T> dy, float probability, const Noise& noise, Gradient<Vec<T>> dx)
struct Dropout;

// ---- sums and rearrangements ----

/// y = what R (core/reductions.hpp) makes of f(x...) of all elements that repeat it: of the loop over the
/// inputs' elements y is input 0, and the formula's inputs are 1 to N - 1. It computes in reduction_t<Y>.
///   forward(R, F, const Broadcast&, Vec<Y> y, Vec<const X>... x)
struct Reduce;

/// Copies elements to other places, or adds them to what is there: to[...] = from[...] by the strides of
/// core/rearrangement.hpp. Copied are elements of `Size` bytes, 1, 2, 4 or 8, of whatever type.
///   copy<Size>(const StridedCopy&, const void* from, void* to)
///   add(const StridedCopy&, const T* from, T* to)
struct Rearrange;

/// y[o, j, i] = x[o, index[o, j, i], i]; `index` has strides, so that all rows may have the same. forward
/// throws ShapeError for an index outside [0, n), or has the next wait for the device throw it.
///   forward(Planes<const T> x [outer, n, inner], const IndexView&, Planes<T> y [outer, m, inner])
///   backward(Planes<const T> dy, const IndexView&, Gradient<Planes<T>> dx)
struct Gather;

/// y[o, j, i] = x[o, 0, i] + ... + x[o, j, i].
///   forward(Planes<const T> x, Planes<T> y)
///   backward(Planes<const T> dy, Gradient<Planes<T>> dx)
struct CumulativeTotal;

/// The places in their rows of the first elements in the order of core/order.hpp; it has no backward.
///   forward(Rows<const T> x [rows, n], bool descending, Rows<std::int32_t> order [rows, count])
struct Order;

/// y = e^x / (sum of e^x) of each row, or its logarithm.
///   forward(Rows<const T> x [rows, n], bool log, Rows<T> y)
///   backward(Rows<const T> dy, Rows<const T> y, bool log, Gradient<Rows<T>> dx)
struct Softmax;

/// y = (x - mean) * inv_deviation * weight + bias with the mean of each row and inv_deviation = 1 /
/// sqrt(variance + eps). The gradients of weight and bias are reductions.
///   forward(Rows<const T> x [rows, n], Vec<const T> weight [n], Vec<const T> bias [n], A eps, Rows<T> y,
///           Vec<A> mean [rows], Vec<A> inv_deviation [rows])
///   backward(Rows<const T> dy, Rows<const T> x, Vec<const T> weight, Vec<const A> mean,
///            Vec<const A> inv_deviation, Gradient<Rows<T>> dx)
struct LayerNorm;

// ---- products ----

/// y = x weight^T + bias, if there is one. The gradient of the bias is a reduction.
///   library<T>()                     in words, who multiplies matrices of T by which instructions or where
///   forward(Rows<const T> x [rows, in], Rows<const T> weight [out, in], Vec<const T> bias [out] or empty,
///           Rows<T> y [rows, out])
///   backward(Rows<const T> dy, Rows<const T> x, Rows<const T> weight, Gradient<Rows<T>> dx,
///            Gradient<Rows<A>> dweight)
struct Linear;

/// y = a b, for each of a stack of matrices.
///   forward(Planes<const T> a [n, m, k], Planes<const T> b [n, k, l], Planes<T> y [n, m, l])
///   backward(Planes<const T> dy, Planes<const T> a, Planes<const T> b, Gradient<Planes<T>> da,
///            Gradient<Planes<T>> db)
struct MatMul;

/// y = weight times the windows of each image of x (core/convolution.hpp), each of `groups` groups of
/// channels by itself. Either gradient may be empty, and then so may what it alone needs: weight for dx, x
/// for dweight.
///   forward(Planes<const T> x [n, c, h * w], Rows<const T> weight [o, c / groups * kh * kw], const Windows&,
///           std::int64_t groups, Planes<T> y [n, o, windows])
///   backward(Planes<const T> dy, Planes<const T> x, Rows<const T> weight, const Windows&,
///            std::int64_t groups, Gradient<Planes<T>> dx, Gradient<Rows<A>> dweight)
struct Convolution;

// ---- of windows ----

/// y = the greatest element of each image's windows, `pixel` being the number of the first that is the
/// greatest, or of a NaN, which is greater than all numbers. A window has at least one pixel in the image.
///   forward(Rows<const T> x [images, h * w], const Windows&, Rows<T> y [images, windows],
///           Rows<std::int32_t> pixel [images, windows])
///   backward(Rows<const T> dy, Rows<const std::int32_t> pixel, const Windows&, Gradient<Rows<T>> dx)
struct MaxPool;

/// y = the mean of each image's windows, 0 being outside of the image.
///   forward(Rows<const T> x [images, h * w], const Windows&, Rows<T> y [images, windows])
///   backward(Rows<const T> dy, const Windows&, Gradient<Rows<T>> dx)
struct AveragePool;

// ---- of recurrent networks ----

/// A step of gated recurrent units (core/recurrent.hpp): what x and the state h bring to their gates r, z, n
/// stands side by side in a row, h's being product + bias. `saved` are the gates and what h brings to n; if
/// it is empty, they are not wanted. dh comes with what later steps add to the gradient of y, and gets h's
/// without what goes through the product, which is that of dproduct.
///   forward(Rows<const T> x [rows, 3 n], Rows<const T> product [rows, 3 n], Vec<const T> bias [3 n],
///           Rows<const T> h [rows, n], Rows<T> saved [rows, 4 n], Rows<T> y [rows, n])
///   backward(Rows<const T> dy, Rows<const T> h, Rows<const T> saved, Rows<T> dh, Rows<T> dx,
///            Rows<T> dproduct)
struct GruCell;

/// A step of long short-term memory, of gates i, f, g, o and a cell c. dx, of what x and h bring, is one.
///   forward(Rows<const T> x [rows, 4 n], Rows<const T> product [rows, 4 n], Vec<const T> bias [4 n],
///           Rows<const T> c [rows, n], Rows<T> saved [rows, 4 n], Rows<T> next_c [rows, n], Rows<T> y)
///   backward(Rows<const T> dy, Rows<const T> dh, Rows<const T> c, Rows<const T> next_c,
///            Rows<const T> saved, Rows<T> dc, Rows<T> dx)        dc: next_c's gradient, and then c's
struct LstmCell;

// ---- of transformers ----

/// y = weight[tokens]. forward throws ShapeError for a token outside the vocabulary, or has the next wait for
/// the device throw it.
///   forward(Vec<const std::int32_t> tokens [n], Rows<const T> weight [vocab, dim], Rows<T> y [n, dim])
///   backward(Rows<const T> dy, Vec<const std::int32_t> tokens, Gradient<Rows<A>> dweight)
struct Embedding;

/// y = x * inv_rms * weight with inv_rms = 1 / sqrt(mean(x^2) + eps) of each row.
///   forward(Rows<const T> x [rows, n], Vec<const T> weight [n], float eps, Rows<T> y, Vec<A> inv_rms [rows])
///   forward_of_sum(Rows<const T> a, Rows<const T> b, Vec<const T> weight, float eps, Rows<T> x, Rows<T> y,
///                  Vec<A> inv_rms)                       x = a + b, then the same, bit for bit
///   backward(Rows<const T> dy, Rows<const T> x, Vec<const T> weight, Vec<const A> inv_rms,
///            Gradient<Rows<T>> dx, Gradient<Vec<A>> dweight)
struct RmsNorm;

/// The rotations of core/rotation_table.hpp; b has other heads than a, or is empty, and so may each of
/// backward's gradients be.
///   forward(Heads<const T> a, Heads<const T> b, std::int64_t start, const RotaryFrequencies&,
///           Heads<T> rotated_a, Heads<T> rotated_b)
///   backward(Heads<const T> d_rotated_a, Heads<const T> d_rotated_b, std::int64_t start,
///            const RotaryFrequencies&, Gradient<Heads<T>> da, Gradient<Heads<T>> db)
struct Rope;

/// Causal attention. log_sum [batch, heads, length] is the natural logarithm of each row's softmax
/// denominator.
///   forward(Heads<const T> q, Heads<const T> k, Heads<const T> v, Heads<T> y, Vec<A> log_sum)
///   backward(Heads<const T> dy, Heads<const T> q, Heads<const T> k, Heads<const T> v, Heads<const T> y,
///            Vec<const A> log_sum, Gradient<Heads<T>> dq, Gradient<Heads<T>> dk, Gradient<Heads<T>> dv)
struct Attention;

/// The mean of -log softmax(logits)[target] over the rows whose target is not `ignore`; log_sum is the
/// logarithm of each row's denominator.
///   forward(Rows<const T> logits [rows, classes], Vec<const std::int32_t> targets [rows],
///           std::int32_t ignore, Vec<A> loss [1], Vec<A> log_sum [rows])
///   backward(Vec<const A> dloss [1], Rows<const T> logits, Vec<const std::int32_t> targets,
///            std::int32_t ignore, Vec<const A> log_sum, Gradient<Rows<T>> dlogits)
struct CrossEntropy;

/// CrossEntropy of Linear. forward also writes the loss's gradients, where the views are not empty; backward
/// adds dloss * saved.
///   forward(Rows<const T> x [rows, dim], Rows<const T> weight [vocab, dim], Vec<const std::int32_t> targets,
///           std::int32_t ignore, Vec<A> loss [1], Rows<A> dx, Rows<A> dweight)
///   backward(Vec<const A> dloss [1], Vec<const A> saved, Gradient<Vec<T or A>> gradient)
struct LinearCrossEntropy;

// ---- of gradients and optimisers, outside the graph ----

/// sum += x, rounded to sum's type.
///   add(Vec<const X> x, Gradient<Vec<Y>> sum)
struct Accumulate;

/// *total = the sum of squares of all arrays, in double and in an order that does not depend on threads.
/// total is in the backend's memory, the span in the host's.
///   sum(std::span<const Vec<const A>> x, double* total)
struct SumOfSquares;

/// x *= factor.
///   apply(A factor, Vec<A> x)
struct ScaleInPlace;

/// One step of an optimiser, Rule being a struct of core/update_rules.hpp; sums and state are in the
/// backend's memory, the span is in the host's.
///   begin(const Rule&, const GradientScaling&, Vec<const double> sums, UpdateState<Rule>*)
///                                               state->begin(rule, scaling, sums)
///   step(std::span<const UpdateTensor<Rule, T>>, const UpdateState<Rule>*)
///                                               updates the tensors unless the gradients' norm is not finite
template <class Rule>
struct Update;

}  // namespace ops

// ---- services of a backend beside its kernels ----

/// Brings arrays of T from the host to the backend B again and again.
///   Feed(const Shape& shape)                                        for arrays of this shape, [size, ...]
///   Tensor<T, B> operator()(std::span<const T> values)              as a tensor, for work that is submitted
///                                                                   before the next call
/// The CPU also takes fewer rows than `size`; a device copies while it still computes on the array before.
template <class T, class B>
class Feed;

/// Calls a function of arguments X..., tensors or an Rng, again and again, always the same one but for what
/// it is given. A device may replay what the function did instead of having the host submit it once more.
///   Replay(bool with_graph)           false: it only calls
///   bool replays() const              whether a call may be a replay, which needs gradients to stay where
///                                     they are
///   static bool is_possible()         whether with_graph can be true
///   Result operator()(double key, Work work, const X&... x)
///                                     work(x...); an Rng may come as a tensor that holds one. Another key
///                                     stands for other numbers inside of `work`, and is called anew
///   void reset()                      forgets what was replayed
template <class B, class Signature>
class Replay;

}  // namespace cria
