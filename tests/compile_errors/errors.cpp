// Slips that the compiler answers with one error each, the sentence beside the CASE (run.cmake).

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
#ifdef CASE_0
  nn::Linear<float> layer(3, 2);  // which is none
  nn::initialize(layer, Rng(1));
  nn::cast<double>(layer);
#endif
#ifdef CASE_1  // the tensor is not of the layer's element type
  nn::Linear<float>(3, 2)(Tensor<double>::zeros({1, 3}));
#endif
#ifdef CASE_2  // this layer takes floating-point numbers and is given integers or a mask
  nn::Linear<float>(3, 2)(Tensor<std::int32_t>::zeros({1, 3}));
#endif
#ifdef CASE_3  // the tensor is not on the layer's backend
  nn::Linear<float>(3, 2)(Tensor<float, Elsewhere>());
#endif
#ifdef CASE_4  // this layer takes tokens, a Tensor<std::int32_t>
  nn::Embedding<float>(3, 2)(Tensor<float>::zeros({3}));
#endif
#ifdef CASE_5  // a field that `visit` lists is a Parameter, a Buffer, a module
  WithTensor with_tensor;
  nn::initialize(with_tensor, Rng(1));
#endif
#ifdef CASE_6  // a module lists its fields in a static member
  WithoutVisit without_visit;
  nn::initialize(without_visit, Rng(1));
  AdamW<> optimizer(without_visit);
  nn::state_dict(without_visit);
#endif
#ifdef CASE_7  // a module of this model has parameters of a fixed type or backend
  nn::cast<double>(OfFloat());
#endif
#ifdef CASE_8  // this module cannot be converted: it needs a constructor
  nn::cast<double>(WithoutConstructor<float>());
#endif
#ifdef CASE_9  // without a name it ends at once
  NoGrad();
#endif
#ifdef CASE_10  // without a name it ends at once
  nn::DropoutStream(Rng(1));
#endif
#ifdef CASE_11  // a module of this Sequential cannot be called with what the one before it gives
  nn::Sequential{WithTwoResults(), nn::Linear<float>(2, 1)}(Tensor<float>::zeros({1, 3}));
#endif
#ifdef CASE_12  // this operation takes floating-point numbers and is given integers or a mask
  mean(numbers == numbers);
#endif
#ifdef CASE_13  // this operation takes floating-point numbers and is given integers or a mask
  mean(indices, {0, 1}, {.keepdim = true});
#endif
#ifdef CASE_14  // this operation takes floating-point numbers and is given integers or a mask
  variance(indices, 0, {.correction = 0});
#endif
#ifdef CASE_15  // this operation takes floating-point numbers and is given integers or a mask
  matmul(indices, indices);
#endif
#ifdef CASE_16  // this operation takes floating-point numbers and is given integers or a mask
  exp(indices);
#endif
#ifdef CASE_17  // this operation takes floating-point numbers and is given integers or a mask
  softmax(indices, -1);
#endif
#ifdef CASE_18  // this operation takes floating-point numbers and is given integers or a mask
  indices / indices;
#endif
#ifdef CASE_19  // this operation takes floating-point numbers and is given integers or a mask
  indices / 2;
#endif
#ifdef CASE_20  // this operation takes floating-point numbers and is given integers or a mask
  0.5 * indices;
#endif
#ifdef CASE_21  // this operation takes floating-point numbers and is given integers or a mask
  (numbers > 0) * 2;
#endif
#ifdef CASE_22  // the tensors are of different element types
  numbers + Tensor<double>::zeros({2});
#endif
#ifdef CASE_23  // the tensors are of different element types
  numbers*(numbers > 0);
#endif
#ifdef CASE_24  // the tensors are of different element types
  matmul(numbers, indices);
#endif
#ifdef CASE_25  // the tensors are of different element types
  any(numbers == indices);
#endif
#ifdef CASE_26  // the tensors are on different backends
  numbers - Tensor<float, Elsewhere>();
#endif
#ifdef CASE_27  // the tensors are of different element types
  mse_loss(numbers, indices);
#endif
#ifdef CASE_28  // the tensors are of different element types
  binary_cross_entropy_with_logits(numbers, numbers > 0, {.reduction = Reduction::sum});
#endif
#ifdef CASE_29  // this operation takes floating-point numbers and is given integers or a mask
  mse_loss(indices, indices);
#endif
#ifdef CASE_30  // tokens, targets and indices are a Tensor<std::int32_t>
  cross_entropy(numbers, numbers);
#endif
#ifdef CASE_31  // tokens, targets and indices are a Tensor<std::int32_t>
  cross_entropy(numbers, Tensor<std::int64_t>::zeros({2}));
#endif
#ifdef CASE_32  // tokens, targets and indices are a Tensor<std::int32_t>
  cross_entropy(numbers, numbers, {.label_smoothing = 0.1});
#endif
#ifdef CASE_33  // this operation takes floating-point numbers and is given integers or a mask
  cross_entropy(indices, indices);
#endif
#ifdef CASE_34  // the tensors are on different backends
  cross_entropy(numbers, Tensor<std::int32_t, Elsewhere>());
#endif
#ifdef CASE_35  // tokens, targets and indices are a Tensor<std::int32_t>
  nll_loss(numbers, numbers);
#endif
#ifdef CASE_36  // tokens, targets and indices are a Tensor<std::int32_t>
  linear_cross_entropy(numbers, numbers, numbers);
#endif
#ifdef CASE_37  // tokens, targets and indices are a Tensor<std::int32_t>
  gather(numbers, 0, Tensor<std::int64_t>::zeros({2}));
#endif
#ifdef CASE_38  // tokens, targets and indices are a Tensor<std::int32_t>
  scatter_add(numbers, 0, numbers, numbers);
#endif
#ifdef CASE_39  // tokens, targets and indices are a Tensor<std::int32_t>
  embedding(Tensor<std::int64_t>::zeros({2}), numbers);
#endif
}
