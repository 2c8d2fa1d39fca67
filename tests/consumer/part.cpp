#include "part.hpp"

namespace part {

using namespace cria;

Tensor<float> add_hundred(Tensor<float> x) {
  for (int i = 0; i < 100; ++i) x = x + 1.0f;
  return x;
}

Tensor<float> project(const Tensor<float>& x, const Parameter<float>& weight) {
  return linear(x, weight);
}

Tensor<bfloat16> project(const Tensor<bfloat16>& x, const Parameter<bfloat16>& weight) {
  return linear(x, weight);
}

void fail() {
  reshape(Tensor<float>::zeros({2}), {3});
}

std::size_t bytes_in_use() {
  return cpu::allocator().statistics().in_use;
}

}  // namespace part
