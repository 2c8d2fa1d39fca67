// Slips that the compiler answers with one error, the sentence beside the CASE (run.cmake).

#include "cria/nn/convert.hpp"
#include "cria/nn/dropout.hpp"
#include "cria/nn/embedding.hpp"
#include "cria/nn/init.hpp"
#include "cria/nn/linear.hpp"
#include "cria/nn/sequential.hpp"
#include "cria/ops/losses.hpp"
#include "cria/ops/matmul.hpp"
#include "cria/optim/adamw.hpp"

using namespace cria;

struct Elsewhere {  // a backend
};
struct WithTensor {
  Tensor<float> weight = Tensor<float>::zeros({2});
  static void visit(auto& self, auto&& field) { field("weight", self.weight); }
};
struct WithoutVisit {
  Parameter<float> weight{{2}};
};
struct OfFloat {
  Parameter<float> weight{{2}};
  static void visit(auto& self, auto&& field) { field("weight", self.weight); }
};
template <class T, class B = DefaultBackend>
struct WithoutConstructor {
  Parameter<T, B> weight{{2}};
  static void visit(auto& self, auto&& field) { field("weight", self.weight); }
};
struct WithTwoResults {  // as nn::Gru has
  std::pair<Tensor<float>, Tensor<float>> operator()(const Tensor<float>& x) const;
  static void visit(auto&, auto&&) {}
};

void slip() {
  const auto numbers = Tensor<float>::zeros({2});
  const auto indices = Tensor<std::int32_t>::zeros({2});
#if CASE == 0
  nn::Linear<float> layer(3, 2);  // which is none
  nn::initialize(layer, Rng(1));
  nn::cast<double>(layer);
#elif CASE == 1   // the tensor is not of the layer's element type
  nn::Linear<float>(3, 2)(Tensor<double>::zeros({1, 3}));
#elif CASE == 2   // this layer takes floating-point numbers and is given integers or a mask
  nn::Linear<float>(3, 2)(Tensor<std::int32_t>::zeros({1, 3}));
#elif CASE == 3   // the tensor is not on the layer's backend
  nn::Linear<float>(3, 2)(Tensor<float, Elsewhere>());
#elif CASE == 4   // this layer takes tokens, a Tensor<std::int32_t>
  nn::Embedding<float>(3, 2)(Tensor<float>::zeros({3}));
#elif CASE == 5   // a field that `visit` lists is a Parameter, a Buffer, a module
  WithTensor module;
  nn::initialize(module, Rng(1));
#elif CASE == 6   // a module lists its fields in a static member
  WithoutVisit module;
  nn::initialize(module, Rng(1));
  AdamW<> optimizer(module);
  nn::state_dict(module);
#elif CASE == 7   // a module of this model has parameters of a fixed type or backend
  nn::cast<double>(OfFloat());
#elif CASE == 8   // this module cannot be converted: it needs a constructor
  nn::cast<double>(WithoutConstructor<float>());
#elif CASE == 9   // without a name it ends at once
  NoGrad();
#elif CASE == 10  // without a name it ends at once
  nn::DropoutStream(Rng(1));
#elif CASE == 11  // a module of this Sequential cannot be called with what the one before it gives
  nn::Sequential{WithTwoResults(), nn::Linear<float>(2, 1)}(Tensor<float>::zeros({1, 3}));
#elif CASE == 12  // this operation takes floating-point numbers and is given integers or a mask
  mean(numbers == numbers);
#elif CASE == 13  // this operation takes floating-point numbers and is given integers or a mask
  mean(indices, {0, 1}, {.keepdim = true});
#elif CASE == 14  // this operation takes floating-point numbers and is given integers or a mask
  variance(indices, 0, {.correction = 0});
#elif CASE == 15  // this operation takes floating-point numbers and is given integers or a mask
  matmul(indices, indices);
#elif CASE == 16  // this operation takes floating-point numbers and is given integers or a mask
  exp(indices);
#elif CASE == 17  // this operation takes floating-point numbers and is given integers or a mask
  softmax(indices, -1);
#elif CASE == 18  // this operation takes floating-point numbers and is given integers or a mask
  indices / indices;
#elif CASE == 19  // this operation takes floating-point numbers and is given integers or a mask
  indices / 2;
#elif CASE == 20  // this operation takes floating-point numbers and is given integers or a mask
  0.5 * indices;
#elif CASE == 21  // this operation takes floating-point numbers and is given integers or a mask
  (numbers > 0) * 2;
#elif CASE == 22  // the tensors are of different element types
  numbers + Tensor<double>::zeros({2});
#elif CASE == 23  // the tensors are of different element types
  numbers*(numbers > 0);
#elif CASE == 24  // the tensors are of different element types
  matmul(numbers, indices);
#elif CASE == 25  // the tensors are of different element types
  any(numbers == indices);
#elif CASE == 26  // the tensors are on different backends
  numbers - Tensor<float, Elsewhere>();
#elif CASE == 27  // the tensors are of different element types
  mse_loss(numbers, indices);
#elif CASE == 28  // the tensors are of different element types
  binary_cross_entropy_with_logits(numbers, numbers > 0, {.reduction = Reduction::sum});
#elif CASE == 29  // this operation takes floating-point numbers and is given integers or a mask
  mse_loss(indices, indices);
#elif CASE == 30  // tokens, targets and indices are a Tensor<std::int32_t>
  cross_entropy(numbers, numbers);
#elif CASE == 31  // tokens, targets and indices are a Tensor<std::int32_t>
  cross_entropy(numbers, Tensor<std::int64_t>::zeros({2}));
#elif CASE == 32  // tokens, targets and indices are a Tensor<std::int32_t>
  cross_entropy(numbers, numbers, {.label_smoothing = 0.1});
#elif CASE == 33  // this operation takes floating-point numbers and is given integers or a mask
  cross_entropy(indices, indices);
#elif CASE == 34  // the tensors are on different backends
  cross_entropy(numbers, Tensor<std::int32_t, Elsewhere>());
#elif CASE == 35  // tokens, targets and indices are a Tensor<std::int32_t>
  nll_loss(numbers, numbers);
#elif CASE == 36  // tokens, targets and indices are a Tensor<std::int32_t>
  linear_cross_entropy(numbers, numbers, numbers);
#elif CASE == 37  // tokens, targets and indices are a Tensor<std::int32_t>
  gather(numbers, 0, Tensor<std::int64_t>::zeros({2}));
#elif CASE == 38  // tokens, targets and indices are a Tensor<std::int32_t>
  scatter_add(numbers, 0, numbers, numbers);
#elif CASE == 39  // tokens, targets and indices are a Tensor<std::int32_t>
  embedding(Tensor<std::int64_t>::zeros({2}), numbers);
#endif
}
