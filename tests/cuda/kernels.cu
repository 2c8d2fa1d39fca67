// Every kernel for every element type, to be compiled by nvcc for real devices; it is not run.
#include "cria/cria.hpp"

namespace {

using namespace cria;

template <class T>
void elementwise(const Tensor<T, Cuda>& x) {
  using A = acc_t<T>;
  auto y = (x + x - x * x / x) * A(2);
  y = A(1) - square(exp(y)) + A(1) / log(y);
  backward(mean(swiglu(relu(y), silu(y))));
}

template <class T>
void everything() {
  using A = acc_t<T>;
  const auto x = Tensor<T, Cuda>::zeros({2, 4, 3, 6}).set_requires_grad();
  const auto tokens = Tensor<std::int32_t, Cuda>::zeros({8});
  const Parameter<T, Cuda> table({5, 18}), weight({18, 18}), norm({18});
  elementwise(x);
  const auto rng = Tensor<Rng, Cuda>::full({}, Rng(1));
  auto y = reshape(attention(rope(x, x).first, x, x), {8, 18});
  y = linear(add_rms_norm(y, dropout(y, 0.5f, Noise(rng.vec().data, 1)), norm).second, weight) +
      embedding(tokens, table);
  y = matmul(y, transpose(y, 0, 1));
  backward(sum(sum(transpose(reshape(y, {2, 4, 8}), 0, 1), 0)));
  backward(cross_entropy(y, tokens) + linear_cross_entropy(embedding(tokens, table), weight, tokens));
  backward(sum(cast<T>(cast<float>(x)) + cast<T>(cast<double>(x)) + cast<T>(cast<bfloat16>(x))));
  Vec<A> values = cria::detail::grad_vec(norm);
  const Vec<const A> gradient = values;
  Parameter<T, Cuda> trained({18});
  const ops::AdamWTensor<T> tensor{gradient, trained.value().mutable_vec(), values, values, values, true};
  const ScratchMemory<ops::AdamWState, Cuda> state(1);
  const ScratchMemory<double, Cuda> squares(1);
  kernel_for<ops::SumOfSquares, Cuda>::sum(std::span(&gradient, 1), squares.data());
  kernel_for<ops::AdamW, Cuda>::begin(ops::AdamWStep{}, squares.vec(), state.data());
  kernel_for<ops::AdamW, Cuda>::step(ops::AdamWStep{}, std::span(&tensor, 1), state.data());
  kernel_for<ops::ScaleInPlace, Cuda>::apply(A(2), values);
  x.template to<Cpu>().template to<Cuda>();
}

}  // namespace

int main() {
  everything<float>();
  everything<double>();
  everything<bfloat16>();
  everything<float16>();
}
