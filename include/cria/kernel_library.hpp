#pragma once
/// The operations, compiled once for a program instead of in every file that uses them: a file that includes
/// this header takes those of floating-point tensors from a library. CMake's cria_add_kernels makes the
/// library, and what links it includes this header before everything else. Without it everything works the
/// same, but takes longer to compile.
///
/// CRIA_KERNELS(extern, T, B) says that the operations on Tensor<T, B> are elsewhere, CRIA_KERNELS(, T, B)
/// compiles them. CRIA_OPERATORS are those that transformers do not need, in a library of their own; programs
/// that define CRIA_OPERATOR_LIBRARY have it.

#include "cria/nn/init.hpp"
#include "cria/ops/accumulate.hpp"
#include "cria/ops/attention.hpp"
#include "cria/ops/cast.hpp"
#include "cria/ops/convolution.hpp"
#include "cria/ops/cross_entropy.hpp"
#include "cria/ops/dropout.hpp"
#include "cria/ops/einsum.hpp"
#include "cria/ops/elementwise.hpp"
#include "cria/ops/embedding.hpp"
#include "cria/ops/gather.hpp"
#include "cria/ops/linear.hpp"
#include "cria/ops/losses.hpp"
#include "cria/ops/matmul.hpp"
#include "cria/ops/normalization.hpp"
#include "cria/ops/order.hpp"
#include "cria/ops/pooling.hpp"
#include "cria/ops/rearrange.hpp"
#include "cria/ops/recurrent.hpp"
#include "cria/ops/reduce.hpp"
#include "cria/ops/reshape.hpp"
#include "cria/ops/rms_norm.hpp"
#include "cria/ops/rope.hpp"
#include "cria/ops/softmax.hpp"
#include "cria/optim/adafactor.hpp"
#include "cria/optim/adam.hpp"
#include "cria/optim/adamw.hpp"
#include "cria/optim/lion.hpp"
#include "cria/optim/muon.hpp"
#include "cria/optim/rmsprop.hpp"
#include "cria/optim/sgd.hpp"

#define CRIA_UNARY_KERNEL(EXTERN, T, B, ...) \
  EXTERN template Tensor<T, B> detail::map(std::string_view, __VA_ARGS__, const Tensor<T, B>&);
#define CRIA_BINARY_KERNEL(EXTERN, T, B, F) \
  EXTERN template Tensor<T, B> detail::map(std::string_view, F, const Tensor<T, B>&, const Tensor<T, B>&);
#define CRIA_CAST_KERNEL(EXTERN, From, B, To) EXTERN template Tensor<To, B> cast<To>(const Tensor<From, B>&);
#define CRIA_UPDATE_KERNEL(EXTERN, T, B, Rule) \
  EXTERN template void kernel<ops::Update<Rule>, B>::step(std::span<const ops::UpdateTensor<Rule, T>>, \
                                                          const ops::UpdateState<Rule>*);

/// Rearrangements, which integers have as well.
#define CRIA_REARRANGING_KERNELS(EXTERN, T, B) \
  EXTERN template Tensor<T, B> detail::rearrange(std::string_view, const Tensor<T, B>&, \
                                                 detail::Rearrangement, T); \
  EXTERN template Tensor<T, B> concat(const std::vector<Tensor<T, B>>&, int); \
  EXTERN template Tensor<T, B> slice(const Tensor<T, B>&, int, std::int64_t, std::int64_t, std::int64_t); \
  EXTERN template Tensor<T, B> expand(const Tensor<T, B>&, const Shape&); \
  EXTERN template Tensor<T, B> detail::gather_by(const char*, const Tensor<T, B>&, int, \
                                                 const Tensor<std::int32_t, B>&, const IndexView&, \
                                                 const Shape&);

#define CRIA_REDUCE_KERNEL(EXTERN, T, B, Y, name) \
  EXTERN template Tensor<Y, B> name(const Tensor<T, B>&, const Axes&, ReduceOptions);

/// Kernels that more than one operation calls, or tests by themselves.
#define CRIA_SHARED_KERNELS(EXTERN, T, B) \
  EXTERN template void kernel<ops::RmsNorm, B>::forward(Rows<const T>, Vec<const T>, float, Rows<T>, \
                                                        Vec<acc_t<T>>); \
  EXTERN template void kernel<ops::RmsNorm, B>::backward(Rows<const T>, Rows<const T>, Vec<const T>, \
                                                         Vec<const acc_t<T>>, Gradient<Rows<T>>, \
                                                         Gradient<Vec<acc_t<T>>>); \
  EXTERN template void kernel<ops::Embedding, B>::forward(Vec<const std::int32_t>, Rows<const T>, Rows<T>); \
  EXTERN template void kernel<ops::Embedding, B>::backward(Rows<const T>, Vec<const std::int32_t>, \
                                                           Gradient<Rows<acc_t<T>>>); \
  EXTERN template void kernel<ops::LinearCrossEntropy, B>::forward( \
      Rows<const T>, Rows<const T>, Vec<const std::int32_t>, std::int32_t, Vec<acc_t<T>>, Rows<acc_t<T>>, \
      Rows<acc_t<T>>); \
  EXTERN template void kernel<ops::Attention, B>::forward(Heads<const T>, Heads<const T>, Heads<const T>, \
                                                          Heads<T>, Vec<acc_t<T>>); \
  EXTERN template void kernel<ops::Attention, B>::backward( \
      Heads<const T>, Heads<const T>, Heads<const T>, Heads<const T>, Heads<const T>, Vec<const acc_t<T>>, \
      Gradient<Heads<T>>, Gradient<Heads<T>>, Gradient<Heads<T>>); \
  EXTERN template void kernel<ops::Rope, B>::forward(Heads<const T>, Heads<const T>, std::int64_t, \
                                                     const RotaryFrequencies&, Heads<T>, Heads<T>); \
  EXTERN template void kernel<ops::Rope, B>::backward(Heads<const T>, Heads<const T>, std::int64_t, \
                                                      const RotaryFrequencies&, Gradient<Heads<T>>, \
                                                      Gradient<Heads<T>>);

#define CRIA_KERNELS(EXTERN, T, B) \
  EXTERN template class Tensor<T, B>; \
  EXTERN template class Parameter<T, B>; \
  CRIA_UNARY_KERNEL(EXTERN, T, B, ops::Affine<acc_t<T>>) \
  CRIA_UNARY_KERNEL(EXTERN, T, B, ops::WithNumber<ops::Reciprocal, acc_t<T>>) \
  CRIA_UNARY_KERNEL(EXTERN, T, B, ops::Square) \
  CRIA_UNARY_KERNEL(EXTERN, T, B, ops::Exp) \
  CRIA_UNARY_KERNEL(EXTERN, T, B, ops::Log) \
  CRIA_UNARY_KERNEL(EXTERN, T, B, ops::Relu) \
  CRIA_UNARY_KERNEL(EXTERN, T, B, ops::Silu) \
  CRIA_BINARY_KERNEL(EXTERN, T, B, ops::Subtract) \
  CRIA_BINARY_KERNEL(EXTERN, T, B, ops::Multiply) \
  CRIA_BINARY_KERNEL(EXTERN, T, B, ops::Divide) \
  CRIA_BINARY_KERNEL(EXTERN, T, B, ops::SwiGlu) \
  CRIA_CAST_KERNEL(EXTERN, T, B, float) \
  CRIA_CAST_KERNEL(EXTERN, T, B, double) \
  CRIA_CAST_KERNEL(EXTERN, T, B, bfloat16) \
  CRIA_CAST_KERNEL(EXTERN, T, B, float16) \
  EXTERN template Tensor<T, B> operator+(const Tensor<T, B>&, const Tensor<T, B>&); \
  EXTERN template class Sink<T, B>; \
  EXTERN template void accumulate(const Sink<T, B>&, const Tensor<T, B>&); \
  EXTERN template class HeadsPart<T, B>; \
  CRIA_SHARED_KERNELS(EXTERN, T, B) \
  EXTERN template Tensor<T, B> attention(const HeadsPart<T, B>&, const HeadsPart<T, B>&, \
                                         const HeadsPart<T, B>&); \
  EXTERN template Tensor<acc_t<T>, B> cross_entropy(const Tensor<T, B>&, const Tensor<std::int32_t, B>&, \
                                                    std::int32_t); \
  EXTERN template Tensor<acc_t<T>, B> linear_cross_entropy(const Tensor<T, B>&, const Parameter<T, B>&, \
                                                           const Tensor<std::int32_t, B>&, std::int32_t); \
  EXTERN template Tensor<T, B> dropout(const Tensor<T, B>&, float, const Noise&); \
  EXTERN template Tensor<T, B> embedding(const Tensor<std::int32_t, B>&, const Parameter<T, B>&); \
  EXTERN template Tensor<T, B> linear(const Tensor<T, B>&, const Parameter<T, B>&); \
  EXTERN template Tensor<T, B> linear(const Tensor<T, B>&, const Parameter<T, B>&, const Parameter<T, B>&); \
  EXTERN template Tensor<T, B> detail::multiply_stacks(const Tensor<T, B>&, const Tensor<T, B>&); \
  EXTERN template Tensor<T, B> reshape(const Tensor<T, B>&, const Shape&); \
  EXTERN template Tensor<acc_t<T>, B> detail::reduce<acc_t<T>>(ops::Total, ops::Identity, \
                                                               const detail::Reduced&, const Tensor<T, B>&); \
  EXTERN template Tensor<acc_t<T>, B> sum(const Tensor<T, B>&, const Axes&, ReduceOptions); \
  EXTERN template Tensor<acc_t<T>, B> mean(const Tensor<T, B>&, const Axes&, ReduceOptions); \
  EXTERN template Tensor<T, B> rms_norm(const Tensor<T, B>&, const Parameter<T, B>&, float); \
  EXTERN template std::pair<Tensor<T, B>, Tensor<T, B>> add_rms_norm( \
      const Tensor<T, B>&, const Tensor<T, B>&, const Parameter<T, B>&, float); \
  EXTERN template Tensor<T, B> rope(const HeadsPart<T, B>&, std::int64_t, const RotaryFrequencies&); \
  EXTERN template std::pair<Tensor<T, B>, Tensor<T, B>> rope(const HeadsPart<T, B>&, const HeadsPart<T, B>&, \
                                                             std::int64_t, const RotaryFrequencies&); \
  EXTERN template void backward(const Tensor<T, B>&, acc_t<T>); \
  EXTERN template void nn::fill_normal(Parameter<T, B>&, double, Rng); \
  CRIA_UPDATE_KERNEL(EXTERN, T, B, ops::AdamW) \
  CRIA_UPDATE_KERNEL(EXTERN, T, B, ops::SGD) \
  CRIA_UPDATE_KERNEL(EXTERN, T, B, ops::Lion) \
  CRIA_UPDATE_KERNEL(EXTERN, T, B, ops::Adam) \
  CRIA_UPDATE_KERNEL(EXTERN, T, B, ops::RMSprop) \
  CRIA_UPDATE_KERNEL(EXTERN, T, B, ops::Descend)

/// The operators for any network that have kernels, which programs that only train transformers do without.
#define CRIA_OPERATORS(EXTERN, T, B) \
  CRIA_REARRANGING_KERNELS(EXTERN, T, B) \
  EXTERN template Tensor<T, B> cumsum(const Tensor<T, B>&, int); \
  EXTERN template Sorted<T, B> detail::first_in_order(const char*, const Tensor<T, B>&, std::int64_t, bool); \
  CRIA_UNARY_KERNEL(EXTERN, T, B, ops::Sqrt) \
  CRIA_UNARY_KERNEL(EXTERN, T, B, ops::Tanh) \
  CRIA_UNARY_KERNEL(EXTERN, T, B, ops::Gelu) \
  EXTERN template Tensor<T, B> linear(const Tensor<T, B>&, const Tensor<T, B>&); \
  EXTERN template Tensor<T, B> linear(const Tensor<T, B>&, const Tensor<T, B>&, const Tensor<T, B>&); \
  EXTERN template Tensor<T, B> embedding(const Tensor<std::int32_t, B>&, const Tensor<T, B>&); \
  EXTERN template Tensor<T, B> rms_norm(const Tensor<T, B>&, const Tensor<T, B>&, float); \
  EXTERN template Tensor<acc_t<T>, B> linear_cross_entropy(const Tensor<T, B>&, const Tensor<T, B>&, \
                                                           const Tensor<std::int32_t, B>&, std::int32_t); \
  EXTERN template Tensor<T, B> detail::triangle(std::string_view, const Tensor<T, B>&, std::int64_t, bool); \
  EXTERN template Tensor<T, B> scatter_add(const Tensor<T, B>&, int, const Tensor<std::int32_t, B>&, \
                                           const Tensor<T, B>&); \
  EXTERN template Tensor<T, B> scatter(const Tensor<T, B>&, int, const Tensor<std::int32_t, B>&, \
                                       const Tensor<T, B>&); \
  EXTERN template Tensor<T, B> einsum(std::string_view, const Tensor<T, B>&, const Tensor<T, B>&); \
  EXTERN template Tensor<T, B> masked_fill(const Tensor<T, B>&, const Tensor<bool, B>&, acc_t<T>); \
  EXTERN template Tensor<T, B> max(const Tensor<T, B>&, const Axes&, ReduceOptions); \
  EXTERN template Tensor<T, B> detail::extreme(std::string_view, ops::Largest, const Tensor<T, B>&, \
                                               const detail::Reduced&); \
  EXTERN template Tensor<T, B> detail::softmax(std::string_view, const Tensor<T, B>&, int, bool); \
  EXTERN template Tensor<T, B> layer_norm(const Tensor<T, B>&, const Tensor<T, B>&, const Tensor<T, B>&, \
                                          double); \
  EXTERN template Tensor<T, B> gru(const Tensor<T, B>&, const Parameter<T, B>&, const Parameter<T, B>&, \
                                   const Tensor<T, B>&); \
  EXTERN template std::pair<Tensor<T, B>, Tensor<T, B>> lstm(const Tensor<T, B>&, const Parameter<T, B>&, \
                                                             const Parameter<T, B>&, const Tensor<T, B>&, \
                                                             const Tensor<T, B>&); \
  EXTERN template Tensor<T, B> conv2d(const Tensor<T, B>&, const Tensor<T, B>&, const Conv2dOptions&); \
  EXTERN template Tensor<T, B> conv_transpose2d(const Tensor<T, B>&, const Tensor<T, B>&, \
                                                const ConvTranspose2dOptions&); \
  EXTERN template Tensor<T, B> detail::add_bias(std::string_view, const Tensor<T, B>&, const Tensor<T, B>&); \
  EXTERN template Tensor<T, B> max_pool2d(const Tensor<T, B>&, const Size2d&, const Pool2dOptions&); \
  EXTERN template Tensor<T, B> avg_pool2d(const Tensor<T, B>&, const Size2d&, const Pool2dOptions&); \
  EXTERN template Tensor<T, B> orthogonalize(const Tensor<T, B>&, int); \
  EXTERN template void Adafactor<B>::update_parameter(ParameterSlot<T, B>&);

/// Those that are composed of formulas and reductions.
#define CRIA_COMPOSED_OPERATORS(EXTERN, T, B) \
  CRIA_REDUCE_KERNEL(EXTERN, T, B, acc_t<T>, prod) \
  CRIA_REDUCE_KERNEL(EXTERN, T, B, acc_t<T>, norm) \
  CRIA_REDUCE_KERNEL(EXTERN, T, B, acc_t<T>, logsumexp) \
  CRIA_REDUCE_KERNEL(EXTERN, T, B, T, min) \
  EXTERN template Tensor<acc_t<T>, B> variance(const Tensor<T, B>&, const Axes&, VarianceOptions); \
  EXTERN template Tensor<acc_t<T>, B> standard_deviation(const Tensor<T, B>&, const Axes&, VarianceOptions); \
  EXTERN template Tensor<T, B> detail::normalize( \
      std::string_view, const Tensor<T, B>&, const detail::Reduced&, const detail::Moments<acc_t<T>, B>&, \
      const Tensor<T, B>&, const Tensor<T, B>&, double, bool); \
  EXTERN template detail::Moments<acc_t<T>, B> detail::moments(const Tensor<T, B>&, const detail::Reduced&); \
  EXTERN template Tensor<acc_t<T>, B> mse_loss(const Tensor<T, B>&, const Tensor<T, B>&, LossOptions); \
  EXTERN template Tensor<acc_t<T>, B> l1_loss(const Tensor<T, B>&, const Tensor<T, B>&, LossOptions); \
  EXTERN template Tensor<acc_t<T>, B> huber_loss(const Tensor<T, B>&, const Tensor<T, B>&, HuberOptions); \
  EXTERN template Tensor<acc_t<T>, B> binary_cross_entropy_with_logits(const Tensor<T, B>&, \
                                                                       const Tensor<T, B>&, LossOptions); \
  EXTERN template Tensor<acc_t<T>, B> kl_div(const Tensor<T, B>&, const Tensor<T, B>&, LossOptions); \
  EXTERN template Tensor<acc_t<T>, B> detail::weighted_loss( \
      const char*, const Tensor<T, B>&, const Tensor<std::int32_t, B>&, const Tensor<acc_t<T>, B>&, \
      const CrossEntropyOptions&); \
  EXTERN template Tensor<acc_t<T>, B> cosine_similarity(const Tensor<T, B>&, const Tensor<T, B>&, int, \
                                                        double); \
  EXTERN template Tensor<T, B> batch_norm(const Tensor<T, B>&, const Tensor<T, B>&, const Tensor<T, B>&, \
                                          Buffer<acc_t<T>, B>&, Buffer<acc_t<T>, B>&, \
                                          const BatchNormOptions&);

#define CRIA_GRADIENT_KERNELS(EXTERN, A, B) \
  EXTERN template void kernel<ops::Accumulate, B>::add(Vec<const A>, Gradient<Vec<A>>); \
  EXTERN template void kernel<ops::SumOfSquares, B>::sum(std::span<const Vec<const A>>, double*); \
  EXTERN template void kernel<ops::ScaleInPlace, B>::apply(A, Vec<A>); \
  CRIA_UNARY_KERNEL(EXTERN, A, B, ops::Clamp<A>) \
  CRIA_UPDATE_KERNEL(EXTERN, A, B, ops::Average) \
  CRIA_UPDATE_KERNEL(EXTERN, A, B, ops::Momentum) \
  CRIA_UPDATE_KERNEL(EXTERN, A, B, ops::Unscale)
#define CRIA_INTEGER_KERNELS(EXTERN, T, B) \
  EXTERN template class Tensor<T, B>; \
  EXTERN template Tensor<T, B> reshape(const Tensor<T, B>&, const Shape&);
#define CRIA_SEQUENCE_KERNEL(EXTERN, T, B) \
  EXTERN template Tensor<T, B> detail::sequence<T, B>(const Shape&, detail::sequence_t<T>, \
                                                      detail::sequence_t<T>);
#define CRIA_INDEX_KERNELS(EXTERN, T, B) \
  EXTERN template Tensor<std::int32_t, B> argmax(const Tensor<T, B>&, int, ReduceOptions); \
  EXTERN template Tensor<std::int32_t, B> argmin(const Tensor<T, B>&, int, ReduceOptions); \
  CRIA_REDUCE_KERNEL(EXTERN, T, B, std::int64_t, count) \
  EXTERN template Tensor<T, B> one_hot<T>(const Tensor<std::int32_t, B>&, std::int64_t);
/// Of integers and masks.
#define CRIA_INTEGER_OPERATORS(EXTERN, B) \
  CRIA_REARRANGING_KERNELS(EXTERN, bool, B) \
  CRIA_REARRANGING_KERNELS(EXTERN, std::int32_t, B) \
  CRIA_REARRANGING_KERNELS(EXTERN, std::int64_t, B) \
  CRIA_SEQUENCE_KERNEL(EXTERN, float, B) \
  CRIA_SEQUENCE_KERNEL(EXTERN, std::int32_t, B) \
  CRIA_SEQUENCE_KERNEL(EXTERN, std::int64_t, B) \
  CRIA_INDEX_KERNELS(EXTERN, float, B) \
  CRIA_INDEX_KERNELS(EXTERN, std::int32_t, B) \
  EXTERN template Sorted<std::int32_t, B> detail::first_in_order( \
      const char*, const Tensor<std::int32_t, B>&, std::int64_t, bool); \
  EXTERN template Tensor<std::int64_t, B> cumsum(const Tensor<std::int32_t, B>&, int); \
  EXTERN template Tensor<std::int64_t, B> cumsum(const Tensor<bool, B>&, int); \
  CRIA_REDUCE_KERNEL(EXTERN, std::int32_t, B, std::int64_t, sum) \
  CRIA_REDUCE_KERNEL(EXTERN, std::int32_t, B, std::int32_t, max) \
  CRIA_REDUCE_KERNEL(EXTERN, std::int32_t, B, std::int32_t, min) \
  CRIA_REDUCE_KERNEL(EXTERN, bool, B, std::int64_t, sum) \
  CRIA_REDUCE_KERNEL(EXTERN, bool, B, bool, any) \
  CRIA_REDUCE_KERNEL(EXTERN, bool, B, bool, all) \
  EXTERN template Tensor<std::int32_t, B> operator+(const Tensor<std::int32_t, B>&, \
                                                    detail::number_t<std::int32_t>); \
  EXTERN template Tensor<bool, B> operator>(const Tensor<std::int32_t, B>&, detail::number_t<std::int32_t>); \
  EXTERN template Tensor<bool, B> operator==(const Tensor<float, B>&, float);

/// What one backend alone has.
#define CRIA_KERNELS_OF_Cpu(EXTERN) \
  EXTERN template void cpu::gemm(Operand<float>, Operand<float>, bool, Rows<float>); \
  EXTERN template void cpu::gemm(Operand<double>, Operand<double>, bool, Rows<double>); \
  EXTERN template void cpu::gemm(Operand<bfloat16>, Operand<bfloat16>, bool, Rows<bfloat16>); \
  EXTERN template void cpu::gemm(Operand<bfloat16>, Operand<bfloat16>, bool, Rows<float>); \
  EXTERN template void cpu::gemm(Operand<float16>, Operand<float16>, bool, Rows<float16>); \
  EXTERN template void cpu::gemm(Operand<float16>, Operand<float16>, bool, Rows<float>);
#define CRIA_KERNELS_OF_Cuda(EXTERN) EXTERN template void Cuda::fill(Rng*, std::int64_t, Rng, cuda::Place);

/// The same for what is not of one floating-point type.
#define CRIA_COMMON_KERNELS(EXTERN, B) \
  CRIA_GRADIENT_KERNELS(EXTERN, float, B) \
  CRIA_GRADIENT_KERNELS(EXTERN, double, B) \
  CRIA_INTEGER_KERNELS(EXTERN, std::int32_t, B) \
  CRIA_INTEGER_KERNELS(EXTERN, std::int64_t, B) \
  EXTERN template class detail::RoundedGradient<bfloat16, B>; \
  EXTERN template class detail::RoundedGradient<float16, B>; \
  EXTERN template class ParameterGroups<B>; \
  EXTERN template class Optimizer<B>; \
  EXTERN template class RuleOptimizer<ops::AdamW, B>; \
  EXTERN template class RuleOptimizer<ops::SGD, B>; \
  EXTERN template class RuleOptimizer<ops::Lion, B>; \
  EXTERN template class RuleOptimizer<ops::Adam, B>; \
  EXTERN template class RuleOptimizer<ops::RMSprop, B>; \
  EXTERN template class UpdatePass<ops::AdamW, B>; \
  EXTERN template class UpdatePass<ops::Average, B>; \
  EXTERN template class UpdatePass<ops::Descend, B>; \
  EXTERN template class UpdatePass<ops::Momentum, B>; \
  EXTERN template class UpdatePass<ops::Unscale, B>; \
  CRIA_KERNELS_OF_##B(EXTERN)

#define CRIA_ALL_OPERATORS(EXTERN, B) \
  CRIA_INTEGER_OPERATORS(EXTERN, B) \
  CRIA_OPERATORS(EXTERN, float, B) \
  CRIA_OPERATORS(EXTERN, double, B) \
  CRIA_OPERATORS(EXTERN, bfloat16, B) \
  CRIA_OPERATORS(EXTERN, float16, B) \
  CRIA_COMPOSED_OPERATORS(EXTERN, float, B) \
  CRIA_COMPOSED_OPERATORS(EXTERN, double, B) \
  CRIA_COMPOSED_OPERATORS_OF_16_BITS_##B(EXTERN)
/// On a GPU they are the same templates, and those of float and double stand for all.
#define CRIA_COMPOSED_OPERATORS_OF_16_BITS_Cpu(EXTERN) \
  CRIA_COMPOSED_OPERATORS(EXTERN, bfloat16, Cpu) \
  CRIA_COMPOSED_OPERATORS(EXTERN, float16, Cpu)
#define CRIA_COMPOSED_OPERATORS_OF_16_BITS_Cuda(EXTERN)

#define CRIA_ALL_KERNELS(EXTERN, B) \
  CRIA_COMMON_KERNELS(EXTERN, B) \
  CRIA_KERNELS(EXTERN, float, B) \
  CRIA_KERNELS(EXTERN, double, B) \
  CRIA_KERNELS(EXTERN, bfloat16, B) \
  CRIA_KERNELS(EXTERN, float16, B)

namespace cria {
CRIA_ALL_KERNELS(extern, Cpu)
#ifdef CRIA_CUDA
CRIA_ALL_KERNELS(extern, Cuda)
#endif
#ifdef CRIA_OPERATOR_LIBRARY
CRIA_ALL_OPERATORS(extern, Cpu)
#ifdef CRIA_CUDA
CRIA_ALL_OPERATORS(extern, Cuda)
#endif
#endif
}  // namespace cria
