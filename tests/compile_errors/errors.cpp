// Slips that the compiler answers with one error, the sentence beside the CASE (run.cmake).

#include "cria/nn/convert.hpp"
#include "cria/nn/dropout.hpp"
#include "cria/nn/embedding.hpp"
#include "cria/nn/init.hpp"
#include "cria/nn/linear.hpp"
#include "cria/nn/sequential.hpp"
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
#elif CASE == 12  // a module lists its fields in a static member
  nn::cast<double>(WithoutVisit());
#endif
}
